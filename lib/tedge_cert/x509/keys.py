# SPDX-License-Identifier: Apache-2.0
"""Load, make and compare the private key of the device."""

import os
import resource
import shlex
from pathlib import Path

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tedge_cert import cures
from tedge_cert.disk import files, owners
from tedge_cert.disk.exposure import is_exposed
from tedge_cert.disk.owners import Access
from tedge_cert.errors import CertificateError
from tedge_cert.hourly import pem
from tedge_cert.hourly.pem_faults import KEY, PemError, in_place
from tedge_cert.hourly.validity import ordinal
from tedge_cert.x509 import hardware_keys
from tedge_cert.x509.certificate import Certificate, encoded, unread
from tedge_cert.x509.hardware_keys import HardwareKey

# The object identifier id-prime-field (RFC 3279 §2.3.5), which the name of a curve does without.
_PRIME_FIELD = bytes.fromhex("06072a8648ce3d0101")
SoftwareKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PrivateKey = SoftwareKey | HardwareKey


def content_of(path: Path) -> bytes | None:
    """Return the file of a private key, of whatever kind; None if there is none. Raises CertificateError."""
    try:
        return files.read_regular(path, follow=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CertificateError(f"cannot read the private key {path}: {error.strerror}") from error


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
        raise unread(error)(
            f"cannot read the private key {path}: {error.strerror}{cures.key_refused(error, path)}"
        ) from error
    return from_content(path, content)


def from_content(path: Path, content: bytes) -> PrivateKey:
    """Return the private key in the ``content`` of ``path``; raises CertificateError as ``load`` does."""
    if hardware_keys.kind_in(content):
        return hardware_keys.load(path, content)
    try:
        pem.check_key(content)
        key = load_pem_private_key(content, password=None)
    except PemError as error:
        raise _unusable(path, f"holds no private key in PEM: {error}", error.cure) from error
    except TypeError as error:
        raise _unusable(
            path, "is encrypted", in_place("openssl pkey -in FILE"), " (it asks for the password)"
        ) from error
    # For some broken keys cryptography 49 passes on an error of OpenSSL that it does not know.
    except (ValueError, UnsupportedAlgorithm, InternalError) as error:
        raise _unreadable_here(path, content) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise _of_other_kind(path)
    return key


def _unusable(path: Path, what: str, cure: str, remark: str = "") -> CertificateError:
    """Return the error for a key that a command converts; ``FILE`` in the command stands for its path."""
    command = cure.replace("FILE", shlex.quote(str(path)))
    how = f"; `{command}` converts it{remark}" if command else ""
    return CertificateError(f"the private key {path} {what}; expected PKCS#8 in PEM without password{how}", command)


def _unreadable_here(path: Path, content: bytes) -> CertificateError:
    if b"BEGIN OPENSSH PRIVATE KEY" in content:
        # It refuses a key that others can read.
        command = "sudo chmod 600 FILE && sudo ssh-keygen -p -N '' -m PKCS8 -f FILE"
        return _unusable(path, "is in the format of OpenSSH", command)
    if _has_explicit_curve(content):
        return _unusable(path, "spells its curve out", in_place("openssl pkey -in FILE -ec_param_enc named_curve"))
    return _unusable(path, "holds no private key in PEM that can be read", "")


def _has_explicit_curve(content: bytes) -> bool:
    """Return whether the key has the parameters of its curve instead of the name (RFC 5480 §2.1.1 forbids that)."""
    return any(label.endswith(KEY) and _PRIME_FIELD in der for label, der, _ in pem.blocks(content))


def _of_other_kind(path: Path) -> CertificateError:
    file = shlex.quote(str(path))
    make = (
        f"sudo mv {file} {file}.old && sudo openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {file}"
    )
    return CertificateError(
        f"the private key {path} is of a kind that cannot sign here; expected EC or RSA. No key of this kind can be "
        f"converted: `{make}` makes another one, which needs another certificate (`sudo tedge cert download c8y`)",
        make,
    )


def _dump_no_core() -> None:
    """Switch core dumps off: the key would be in one."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def new() -> ec.EllipticCurvePrivateKey:
    """Make a key on the curve P-256."""
    _dump_no_core()
    return ec.generate_private_key(ec.SECP256R1())


def create(path: Path, key: SoftwareKey, access: Access = owners.PRIVATE_KEY) -> None:
    """Write ``key`` to ``path`` with its final mode at once; raises FileExistsError if there is a file already."""
    files.create(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), access)


def create_like(present: PrivateKey, path: Path, access: Access) -> None:
    """Make a new key of the kind of ``present`` in the file ``path``.

    Raises FileExistsError if there is a file already, TedgeCertError where no such key can be made.
    """
    if isinstance(present, HardwareKey):
        reached_by = os.environ.get("TPM2OPENSSL_TCTI", "")
        files.create(path, hardware_keys.made_in_tpm(hardware_keys.kind_of(present), reached_by), access)
        return
    _dump_no_core()
    if isinstance(present, rsa.RSAPrivateKey):
        create(path, rsa.generate_private_key(65_537, present.key_size), access)
    else:
        create(path, ec.generate_private_key(present.curve), access)


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
    if isinstance(key, HardwareKey):
        return key.public_key
    return encoded(key.public_key())


def load_for(path: Path, certificate: Certificate, certificate_path: Path) -> PrivateKey:
    """Load the key at ``path`` and check that it is the one of ``certificate``; raises CertificateError."""
    key = load(path, certificate.validity.device_id)
    if public_key(key) != certificate.public_key:
        for number, each in enumerate(certificate.chain, 2):
            if Certificate(each).public_key == public_key(key):
                raise CertificateError(
                    f"the first certificate in {certificate_path} is not that of the private key {path}, and the "
                    f"device's certificate is {ordinal(number)}; put it first",
                    f"sudoedit {shlex.quote(str(certificate_path))}",
                )
        if path.parent == Path(os.environ.get("CREDENTIALS_DIRECTORY", os.devnull)):
            raise CertificateError(
                f"the private key that tedge-cert-renewer-key@.service hands over is not the one of the certificate "
                f"{certificate_path}: {cures.other_key_handed()}"
            )
        cure = cures.register(certificate.validity.device_id)
        raise CertificateError(
            f"the private key {path} is not the one of the certificate {certificate_path} {cures.other_key()}; "
            f"without a copy, {cure} with a new one-time password registers the device again"
        )
    return key
