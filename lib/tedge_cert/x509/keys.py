# SPDX-License-Identifier: Apache-2.0
"""The private key of the device, and what is made with it: certificate signing requests."""

import base64
import os
import resource
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from tedge_cert.disk import files
from tedge_cert.disk.exposure import is_exposed
from tedge_cert.errors import CertificateError, mend
from tedge_cert.x509.certificate import Certificate

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def load(path: Path) -> PrivateKey:
    """The private key at ``path``; raises CertificateError that says what is wrong with it."""
    _dump_no_core()
    is_exposed(os.fspath(path))
    try:
        content = files.read_regular(path, follow=True)
    except FileNotFoundError as error:
        raise CertificateError(
            f"the private key {path} is missing; a new key would not fit the certificate, so none is made: "
            "restore the file, or register the device anew with `tedge cert download c8y`"
        ) from error
    except OSError as error:
        raise CertificateError(
            f"cannot read the private key {path}: {error.strerror}; expected owner tedge, group mosquitto, mode 0640"
            f"{mend(error)}"
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
    """From here on a crash leaves no memory on disk: the key would be in it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def new() -> PrivateKey:
    """A key as the devices of the tenant use it."""
    _dump_no_core()
    return ec.generate_private_key(ec.SECP256R1())


def create(path: Path, key: PrivateKey) -> None:
    """Put ``key`` at ``path``, whole and with its final mode; FileExistsError if there is a file already."""
    files.create(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), files.PRIVATE_KEY)


def load_or_create(path: Path) -> PrivateKey:
    """The key at ``path``, or a new one (P-256, PKCS#8) put there whole, with its final mode; never overwritten."""
    if path.exists():
        return load(path)
    key = new()
    try:
        create(path, key)
    except FileExistsError:
        return load(path)
    return key


def public_key(key: PrivateKey) -> bytes:
    """The SubjectPublicKeyInfo in DER, to compare with a certificate's."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def load_for(path: Path, certificate: Certificate, certificate_path: Path) -> PrivateKey:
    """The key at ``path``, known to be the one of ``certificate``; raises CertificateError."""
    key = load(path)
    if public_key(key) != certificate.public_key:
        raise CertificateError(
            f"the private key {path} is not the one of the certificate {certificate_path}; "
            "restore the pair, or register the device anew with `tedge cert download c8y`"
        )
    return key


def first_subject(device_id: str, organization: str, organization_unit: str) -> x509.Name:
    """The subject of a device that has no certificate yet; a part that is set to nothing is left out."""
    oid = x509.NameOID
    parts = (
        (oid.COMMON_NAME, device_id),
        (oid.ORGANIZATION_NAME, organization),
        (oid.ORGANIZATIONAL_UNIT_NAME, organization_unit),
    )
    return x509.Name([x509.NameAttribute(name, value) for name, value in parts if value])


def first_request(key: PrivateKey, device_id: str, organization: str, organization_unit: str) -> bytes:
    """A CSR in DER for a device that has no certificate yet (RFC 2986)."""
    name = first_subject(device_id, organization, organization_unit)
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.DER)


def renewal_request(key: PrivateKey, certificate: Certificate) -> bytes:
    """A CSR in DER that repeats subject and subjectAltName of ``certificate`` byte for byte.

    RFC 7030 §4.2.2 demands it, and servers compare: so the encoded fields are carried over, not built anew.
    """
    # Fourteen milliseconds that the proof of a candidate, which loads keys too, does not have to pay.
    from asn1crypto import csr as asn1_csr
    from asn1crypto import keys as asn1_keys
    from asn1crypto import x509 as asn1_x509

    current = asn1_x509.Certificate.load(certificate.der)["tbs_certificate"]
    kept = [each for each in current["extensions"] or [] if each["extn_id"].native == "subject_alt_name"]
    attributes = [{"type": "extension_request", "values": [kept]}] if kept else []
    info = asn1_csr.CertificationRequestInfo(
        {
            "version": "v1",
            "subject": current["subject"],
            "subject_pk_info": asn1_keys.PublicKeyInfo.load(public_key(key)),
            "attributes": attributes,
        }
    )
    algorithm, signature = _sign(key, info.dump())
    request = asn1_csr.CertificationRequest(
        {
            "certification_request_info": info,
            "signature_algorithm": {"algorithm": algorithm},
            "signature": signature,
        }
    )
    encoded: bytes = request.dump()
    return encoded


def _sign(key: PrivateKey, content: bytes) -> tuple[str, bytes]:
    if isinstance(key, rsa.RSAPrivateKey):
        return "sha256_rsa", key.sign(content, padding.PKCS1v15(), hashes.SHA256())
    return "sha256_ecdsa", key.sign(content, ec.ECDSA(hashes.SHA256()))


def load_request(path: Path, key: PrivateKey) -> bytes:
    """The CSR in the PEM file ``path``, in DER; raises CertificateError if it was made with another key."""
    try:
        request = x509.load_pem_x509_csr(files.read_regular(path, follow=True))
        requested: Any = request.public_key()
    except OSError as error:
        raise CertificateError(f"cannot read the CSR {path}: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise CertificateError(f"{path} holds no certificate signing request in PEM") from error
    if requested.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != public_key(key):
        raise CertificateError(f"the CSR {path} was made with another key than the one of this device")
    return request.public_bytes(Encoding.DER)


def pem_of_request(der: bytes) -> bytes:
    """A CSR in PEM, for the file at ``device.csr_path``."""
    body = base64.encodebytes(der).replace(b"\n", b"")
    lines = b"\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + lines + b"\n-----END CERTIFICATE REQUEST-----\n"
