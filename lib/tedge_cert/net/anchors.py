# SPDX-License-Identifier: Apache-2.0
"""Trust anchors, a file or a directory: whether OpenSSL, here and in mosquitto, can find anything in them."""

import re
from pathlib import Path

from tedge_cert.errors import ConfigurationError

ROOTS = "c8y.root_cert_path"
# OpenSSL finds a certificate in a directory by a hash of its subject and a number (openssl-rehash(1)).
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
_BEGIN = re.compile(rb"-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----")


def check(trust: Path, setting: str = ROOTS) -> None:
    """Raise ConfigurationError if nothing at ``trust`` can vouch for a server; the text names ``setting``."""
    try:
        if not trust.exists():
            raise ConfigurationError(
                f"there are no trust anchors at {trust} ({setting}): set it to a file or directory of root "
                "certificates in PEM, such as /etc/ssl/certs"
            )
        flaw = _flaw_of_directory(trust) if trust.is_dir() else _flaw_of_file(trust)
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the trust anchors {trust} ({setting}): {error.strerror}; they have to be readable for "
            "everybody, as the broker reads them too"
        ) from error
    if flaw:
        raise ConfigurationError(f"no server could be trusted with {trust} ({setting}): {flaw}")


def _flaw_of_directory(trust: Path) -> str:
    names = [each.name for each in trust.iterdir()]
    if not names:
        return "the directory is empty; put the root certificate of the server there, then `openssl rehash` it"
    if not any(_HASHED.fullmatch(each) for each in names):
        return (
            f"its certificates have no links with the hash of their subject, by which they are found: `openssl rehash "
            f"{trust}` makes them; or name a single file"
        )
    return ""


def _flaw_of_file(trust: Path) -> str:
    content = trust.read_bytes()
    if _BEGIN.search(content):
        return ""
    if not content:
        return "the file is empty; expected certificates in PEM"
    if content.startswith(b"\x30"):
        return f"the file is DER, expected PEM; `openssl x509 -inform DER -in {trust} -out <file>.pem` converts it"
    return "there is no certificate in the file; expected PEM, -----BEGIN CERTIFICATE-----"
