# SPDX-License-Identifier: Apache-2.0
"""Load, make and compare the private key of the device."""

import os
import resource
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from tedge_cert import cures
from tedge_cert.disk import files, owners
from tedge_cert.disk.exposure import is_exposed
from tedge_cert.errors import CertificateError
from tedge_cert.x509.certificate import Certificate

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def load(path: Path, device_id: str = "") -> PrivateKey:
    """Load the private key of ``device_id`` at ``path``; raises CertificateError that says what is wrong with it."""
    _dump_no_core()
    is_exposed(os.fspath(path))
    try:
        content = files.read_regular(path, follow=True)
    except FileNotFoundError as error:
        raise CertificateError(
            f"the private key {path} is missing; a new key would not fit the certificate, so none is made: "
            f"restore the file; without a copy of it, {cures.register(device_id)} with a new one-time password "
            "registers the device again"
        ) from error
    except OSError as error:
        raise CertificateError(
            f"cannot read the private key {path}: {error.strerror}; expected owner tedge, group mosquitto, mode 0640"
            f"{cures.mend(error)}"
        ) from error
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError as error:
        raise CertificateError(f"the private key {path} is encrypted; expected PKCS#8 PEM without password") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{path} holds no private key in PEM; expected PKCS#8") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise CertificateError(f"the private key {path} is of a kind that cannot sign here; expected EC or RSA")
    return key


def _dump_no_core() -> None:
    """Switch core dumps off: the key would be in one."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def new() -> PrivateKey:
    """Make a key on the curve P-256."""
    _dump_no_core()
    return ec.generate_private_key(ec.SECP256R1())


def create(path: Path, key: PrivateKey) -> None:
    """Write ``key`` to ``path`` with its final mode at once; raises FileExistsError if there is a file already."""
    files.create(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), owners.PRIVATE_KEY)


def load_or_create(path: Path) -> PrivateKey:
    """Load the key at ``path``, or make one there (P-256, PKCS#8); an existing key is never overwritten."""
    if path.exists():
        return load(path)
    key = new()
    try:
        create(path, key)
    except FileExistsError:
        return load(path)
    return key


def public_key(key: PrivateKey) -> bytes:
    """Return the SubjectPublicKeyInfo in DER, to compare it with that of a certificate."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def load_for(path: Path, certificate: Certificate, certificate_path: Path) -> PrivateKey:
    """Load the key at ``path`` and check that it is the one of ``certificate``; raises CertificateError."""
    key = load(path, certificate.validity.common_name)
    if public_key(key) != certificate.public_key:
        cure = cures.register(certificate.validity.common_name)
        raise CertificateError(
            f"the private key {path} is not the one of the certificate {certificate_path}; "
            f"restore the one that was replaced; without a copy, {cure} with a new one-time password registers the "
            "device again"
        )
    return key
