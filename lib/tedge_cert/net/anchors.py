# SPDX-License-Identifier: Apache-2.0
"""Trust anchors, a file or a directory, and whether OpenSSL can find a certificate in them."""

import os
import re
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path

from tedge_cert.disk import files
from tedge_cert.errors import ConfigurationError

# The certificates of all public authorities together are a quarter of a mebibyte.
LIMIT_BYTES = 8 << 20
# What Debian's package ca-certificates makes; the directory is the default.
_OF_SYSTEM = (Path("/etc/ssl/certs"), Path("/etc/ssl/certs/ca-certificates.crt"))
# OpenSSL finds a certificate in a directory by a hash of its subject and a number (openssl-rehash(1)).
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
_BEGIN = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----")
# It makes such names only for files with these endings that have one certificate each.
_REHASHED = (".pem", ".crt", ".cer")


@dataclass(frozen=True)
class Trust:
    """The file or directory whose certificates vouch for a server, and the name of the setting that says so."""

    path: Path
    setting: str


def check(trust: Trust) -> None:
    """Raise ConfigurationError if ``trust`` holds no certificate that could verify a server."""
    path, setting = trust.path, trust.setting
    try:
        if not path.exists():
            raise ConfigurationError(
                f"there are no trust anchors at {path} ({setting}): {_of_system(path)}set it to a file or directory of "
                "root certificates in PEM, such as /etc/ssl/certs"
            )
        flaw = _flaw_of_directory(trust) if path.is_dir() else _flaw_of_file(path)
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the trust anchors {path} ({setting}): {error.strerror}; expected a file or directory that "
            "all users may read, as the broker reads it too"
        ) from error
    if flaw:
        raise ConfigurationError(f"no server could be trusted with {path} ({setting}): {flaw}")


def _of_system(path: Path) -> str:
    """Return what makes the anchors of the system, if ``path`` is theirs; other words follow."""
    if path not in _OF_SYSTEM:
        return ""
    return "`sudo apt install ca-certificates` (installed: `sudo update-ca-certificates --fresh`) makes them; or "


def _flaw_of_directory(trust: Trust) -> str:
    path = trust.path
    # Each step looks at all of the hundreds that a system has: as paths they would take ten times as long.
    with os.scandir(path) as listed:
        entries = sorted(listed, key=lambda each: each.name)
    if not entries:
        put = "put the root certificate of the server there, then `openssl rehash` it"
        return f"the directory is empty; {_of_system(path)}{put}"
    hashed = [each for each in entries if _HASHED.fullmatch(each.name)]
    # OpenSSL would wait for a pipe, and read a device for ever.
    odd = next((each for each in hashed if not _is_regular_or_missing(each)), None)
    if odd is not None:
        return f"{odd.path} is not a regular file; remove it"
    if hashed:
        return ""
    directory = shlex.quote(str(path))
    wanted = "OpenSSL finds certificates in a directory by links with the hash of their subject, and there are none; "
    left_out = next((each.path for each in entries if _is_left_out(Path(each))), None)
    if left_out is None:
        return f"{wanted}`openssl rehash {directory}` makes them; or name a single file"
    return (
        f"{wanted}`openssl rehash` makes none for {left_out}, only for files named {', '.join(_REHASHED)} with one "
        f"certificate each: `find {directory} -type f -exec awk 1 {{}} + > <file>.pem` puts all into one "
        f"file, and `sudo tedge config set {trust.setting} <file>.pem` names it"
    )


def _is_regular_or_missing(entry: os.DirEntry[str]) -> bool:
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except FileNotFoundError:
        # A link to a certificate that has gone.
        return True


def _is_left_out(entry: Path) -> bool:
    """Return whether OpenSSL's program makes no link for ``entry``, which has certificates or is a directory."""
    if entry.is_dir():
        return True
    try:
        found = len(_BEGIN.findall(files.read_regular(entry, LIMIT_BYTES, follow=True)))
    except OSError:
        # A link to nothing, or a pipe: it has nothing that could be joined.
        return False
    return found > 1 or (found == 1 and entry.suffix not in _REHASHED)


def _flaw_of_file(path: Path) -> str:
    # A device or a pipe would be read for ever.
    content = files.read_regular(path, LIMIT_BYTES, follow=True)
    if _BEGIN.search(content):
        return ""
    if not content:
        return f"the file is empty; {_of_system(path)}put the root certificate of the server there, in PEM"
    if content.startswith(b"\x30"):
        return f"the file is DER, expected PEM; `openssl x509 -inform DER -in {path} -out <file>.pem` converts it"
    return "there is no certificate in the file; expected PEM, -----BEGIN CERTIFICATE-----"
