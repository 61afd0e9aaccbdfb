# SPDX-License-Identifier: Apache-2.0
"""Make and read certificate signing requests (RFC 2986)."""

from typing import Any

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tedge_cert.disk.files import CallerFile
from tedge_cert.errors import CertificateError
from tedge_cert.x509.certificate import Certificate, encoded
from tedge_cert.x509.hardware_keys import HardwareKey
from tedge_cert.x509.keys import PrivateKey, public_key

# What a request that was spoilt on the disk or by hand raises; version 38 (Debian 12) passes on errors of OpenSSL that
# it does not know, for a damaged public key.
_UNREADABLE = (ValueError, UnsupportedAlgorithm, InternalError, x509.InvalidVersion)


def first_subject(device_id: str, organization: str, organization_unit: str) -> x509.Name:
    """Return the subject of a device that has no certificate yet; empty parts are left out."""
    oid = x509.NameOID
    parts = (
        (oid.COMMON_NAME, device_id),
        (oid.ORGANIZATION_NAME, organization),
        (oid.ORGANIZATIONAL_UNIT_NAME, organization_unit),
    )
    return x509.Name([x509.NameAttribute(name, value) for name, value in parts if value])


def first_request(
    key: PrivateKey, device_id: str, organization: str, organization_unit: str, challenge: str = ""
) -> bytes:
    """Return a CSR in DER for a device that has no certificate yet; ``challenge`` is a password in it (RFC 2985)."""
    from asn1crypto import x509 as asn1_x509

    name = first_subject(device_id, organization, organization_unit).public_bytes()
    password = [asn1_x509.DirectoryString("utf8_string", challenge)]
    attributes = [{"type": "challenge_password", "values": password}] if challenge else []
    return _request(key, asn1_x509.Name.load(name), attributes)


def renewal_request(key: PrivateKey, certificate: Certificate) -> bytes:
    """Return a CSR in DER that repeats subject and subjectAltName of ``certificate`` byte for byte.

    RFC 7030 §4.2.2 demands that and servers compare them, so the encoded fields are copied, not encoded again.
    """
    from asn1crypto import x509 as asn1_x509

    current = asn1_x509.Certificate.load(certificate.der)["tbs_certificate"]
    kept = [each for each in current["extensions"] or [] if each["extn_id"].native == "subject_alt_name"]
    return _request(key, current["subject"], [{"type": "extension_request", "values": [kept]}] if kept else [])


def _request(key: PrivateKey, subject: Any, attributes: list[dict[str, Any]]) -> bytes:
    """Return a CSR in DER, signed with ``key``; subject and attributes as asn1crypto has them."""
    # Imported here because it takes fourteen milliseconds, and the proof of a candidate needs only the keys.
    from asn1crypto import csr as asn1_csr
    from asn1crypto import keys as asn1_keys

    info = asn1_csr.CertificationRequestInfo(
        {
            "version": "v1",
            "subject": subject,
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
    made: bytes = request.dump()
    return made


def public_key_in(der: bytes) -> bytes:
    """Return the public key in a CSR, as SubjectPublicKeyInfo in DER; empty if it cannot be read."""
    try:
        return encoded(x509.load_der_x509_csr(der).public_key())
    except _UNREADABLE:
        return b""


def asks_the_same(one: bytes, other: bytes) -> bool:
    """Return whether two CSRs in DER ask for the same; their signatures differ each time they are made."""
    try:
        first, second = (x509.load_der_x509_csr(each) for each in (one, other))
        return first.is_signature_valid and first.tbs_certrequest_bytes == second.tbs_certrequest_bytes
    except _UNREADABLE:
        return False


def _sign(key: PrivateKey, content: bytes) -> tuple[str, bytes]:
    if isinstance(key, HardwareKey):
        return "sha256_rsa" if key.is_rsa else "sha256_ecdsa", key.sign(content)
    if isinstance(key, rsa.RSAPrivateKey):
        return "sha256_rsa", key.sign(content, padding.PKCS1v15(), hashes.SHA256())
    return "sha256_ecdsa", key.sign(content, ec.ECDSA(hashes.SHA256()))


def load_request(named: CallerFile, key: PrivateKey) -> bytes:
    """Read the CSR in a PEM file; return it in DER. Raises CertificateError if it is of another key."""
    path = named.path
    if named.fault:
        raise CertificateError(f"cannot read the CSR {path}: {named.fault}")
    try:
        request = x509.load_pem_x509_csr(named.content)
        requested = encoded(request.public_key())
    except _UNREADABLE as error:
        raise CertificateError(f"{path} holds no certificate signing request in PEM") from error
    if requested != public_key(key):
        raise CertificateError(f"the CSR {path} was made with another key than the one of this device")
    return request.public_bytes(Encoding.DER)


def pem_of(der: bytes, label: str = "CERTIFICATE REQUEST") -> bytes:
    from asn1crypto import pem

    armored: bytes = pem.armor(label, der)
    return armored
