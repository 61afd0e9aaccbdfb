# SPDX-License-Identifier: Apache-2.0
"""Refuse one file in two roles, and a certificate's file with a private key in it: a renewal would lose the key.

The hourly check uses this module, so it imports nothing slow.
"""

import os

from tedge_cert.errors import ConfigurationError
from tedge_cert.hourly import pem

CERTIFICATE, KEY, CSR = "device.cert_path", "device.key_path", "device.csr_path"


def check(certificate: str, key: str, csr: str = "", option: str = "") -> None:
    """Check that these files are different ones, and that only the key's holds a key; raises ConfigurationError.

    ``option`` is what a command line needs to change these settings (`` --profile p``).
    """
    if is_same(certificate, key):
        raise _one_file(certificate, key, option)
    beside = [f"{certificate}.new", f"{certificate}.previous"]
    for each in beside:
        if is_same(each, key):
            raise _error(
                f"{KEY} is {key}, where a renewal puts a certificate ({each})",
                "gives the key a file of its own",
                f"sudo cp -p {_quoted(key)} {_quoted(key)}.key",
                _set(KEY, f"{key}.key", option),
            )
    if holds_key(certificate):
        raise _error(
            f"{certificate} ({CERTIFICATE}) holds a private key beside the certificate, and every user may read a "
            "certificate",
            "gives the certificate a file of its own",
            _certificates_of(certificate),
            _set(CERTIFICATE, f"{certificate}.crt", option),
        )
    if csr:
        _check_request(csr, certificate, key, option)


def _check_request(csr: str, certificate: str, key: str, option: str) -> None:
    own = _set(CSR, f"{certificate}.csr", option)
    for role, each in (
        (KEY, key),
        (CERTIFICATE, certificate),
        (CERTIFICATE, f"{certificate}.new"),
        (CERTIFICATE, f"{certificate}.previous"),
    ):
        if is_same(csr, each):
            what = f"{CSR} and {role} are the same file, {each}, and each signing request would replace it"
            raise _error(what, "gives the request a file of its own", own)
    if holds_key(csr):
        what = f"{csr} ({CSR}) holds a private key, and each signing request would replace it"
        raise _error(what, "gives the request a file of its own", own)


def _error(what: str, result: str, *commands: str) -> ConfigurationError:
    cure = " && ".join(commands)
    return ConfigurationError(f"{what}; `{cure}` {result}", cure)


def is_same(one: str, other: str) -> bool:
    """Return whether two paths lead to the same file, by links or hard links too, or would if it existed."""
    try:
        return os.path.samefile(one, other)  # noqa: PTH121 (pathlib is not imported in the hourly path)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def holds_key(path: str) -> bool:
    """Return whether there is a private key in the file; False if it cannot be read: its reader says why."""
    try:
        return pem.holds_key(pem.read(path))
    except OSError:
        return False


def _one_file(certificate: str, key: str, option: str) -> ConfigurationError:
    what = f"{CERTIFICATE} and {KEY} are the same file, {certificate}, and a renewal would replace the key"
    if not holds_key(certificate):
        return _error(what, "gives the key a file of its own", _set(KEY, f"{key}.key", option))
    return _error(
        what,
        "gives each a file of its own",
        f"sudo openssl pkey -in {_quoted(key)} -out {_quoted(key)}.key",
        _certificates_of(certificate),
        _set(KEY, f"{key}.key", option),
        _set(CERTIFICATE, f"{certificate}.crt", option),
    )


def _certificates_of(path: str) -> str:
    """Return the command that writes all certificates of the file, in their order, to another one."""
    file = _quoted(path)
    return f"sudo openssl crl2pkcs7 -nocrl -certfile {file} | sudo openssl pkcs7 -print_certs -out {file}.crt"


def _set(setting: str, path: str, option: str) -> str:
    name = f"c8y.{setting}" if option else setting
    return f"sudo tedge config set {name} {_quoted(path)}{option}"


def _quoted(path: str) -> str:
    from shlex import quote

    return quote(path)
