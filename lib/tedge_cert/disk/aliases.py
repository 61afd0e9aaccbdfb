# SPDX-License-Identifier: Apache-2.0
"""Refuse one file in two roles, and a certificate's file with a private key in it: a renewal would lose the key.

The hourly check uses this module, so it imports nothing slow.
"""

import os

from tedge_cert.errors import ConfigurationError
from tedge_cert.hourly import pem

_LIMIT_BYTES = 1 << 20
CERTIFICATE, KEY, CSR = "device.cert_path", "device.key_path", "device.csr_path"


def check(certificate: str, key: str, csr: str = "", option: str = "") -> None:
    """Check that these files are different ones, and that only the key's holds a key; raises ConfigurationError.

    ``option`` is what a command line needs to change these settings (`` --profile p``).
    """
    if is_same(certificate, key):
        raise ConfigurationError(_one_file(certificate, key, option))
    beside = [f"{certificate}.new", f"{certificate}.previous"]
    for each in beside:
        if is_same(each, key):
            raise ConfigurationError(
                f"{KEY} is {key}, where a renewal puts a certificate ({each}); "
                f"{_run(f'cp -p {_quoted(key)} {_quoted(key)}.key', _set(KEY, f'{key}.key', option))} gives the key a "
                "file of its own"
            )
    for role, each in ((KEY, key), (CERTIFICATE, certificate), *((CERTIFICATE, each) for each in beside)):
        if csr and is_same(csr, each):
            raise ConfigurationError(
                f"{CSR} and {role} are the same file, {each}, and each signing request would replace it; "
                f"`{_set(CSR, f'{certificate}.csr', option)}` gives the request a file of its own"
            )
    if holds_key(certificate):
        raise ConfigurationError(
            f"{certificate} ({CERTIFICATE}) holds a private key beside the certificate, and every user may read a "
            f"certificate; {_run(_certificates_of(certificate), _set(CERTIFICATE, f'{certificate}.crt', option))} "
            "gives the certificate a file of its own"
        )
    if csr and holds_key(csr):
        raise ConfigurationError(
            f"{csr} ({CSR}) holds a private key, and each signing request would replace it; "
            f"`{_set(CSR, f'{certificate}.csr', option)}` gives the request a file of its own"
        )


def is_same(one: str, other: str) -> bool:
    """Return whether two paths lead to the same file, by links or hard links too, or would if it existed."""
    try:
        return os.path.samefile(one, other)  # noqa: PTH121 (pathlib is not imported in the hourly path)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def holds_key(path: str) -> bool:
    """Return whether there is a private key in the file; False if it cannot be read: its reader says why."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return pem.holds_key(os.read(descriptor, _LIMIT_BYTES))
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _one_file(certificate: str, key: str, option: str) -> str:
    what = f"{CERTIFICATE} and {KEY} are the same file, {certificate}, and a renewal would replace the key by a "
    if holds_key(certificate):
        return (
            f"{what}certificate; "
            + _run(
                f"openssl pkey -in {_quoted(key)} -out {_quoted(key)}.key",
                _certificates_of(certificate),
                _set(KEY, f"{key}.key", option),
                _set(CERTIFICATE, f"{certificate}.crt", option),
            )
            + " gives each a file of its own"
        )
    return f"{what}certificate; `{_set(KEY, f'{key}.key', option)}` gives the key a file of its own"


def _certificates_of(path: str) -> str:
    """Return the command that writes all certificates of the file, in their order, to another one."""
    file = _quoted(path)
    return f"openssl crl2pkcs7 -nocrl -certfile {file} | openssl pkcs7 -print_certs -out {file}.crt"


def _set(setting: str, path: str, option: str) -> str:
    name = f"c8y.{setting}" if option else setting
    return f"tedge config set {name} {_quoted(path)}{option}"


def _run(*commands: str) -> str:
    return f"`{' && '.join(commands)}`"


def _quoted(path: str) -> str:
    from shlex import quote

    return quote(path)
