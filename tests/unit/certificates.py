# SPDX-License-Identifier: Apache-2.0
"""Certificates of any date, name, key and issuer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

DAY_S = 86_400
NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def key_pem(key: Key) -> bytes:
    """A private key as it lies on the disk of a device."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key like those of devices."""
    return ec.generate_private_key(ec.SECP256R1())


def name_of(common_name: str) -> x509.Name:
    """A subject as thin-edge writes it."""
    oid = x509.NameOID
    parts = ((oid.COMMON_NAME, common_name), (oid.ORGANIZATION_NAME, "Thin Edge"))
    return x509.Name([x509.NameAttribute(*part) for part in (*parts, (oid.ORGANIZATIONAL_UNIT_NAME, "Device"))])


@dataclass(frozen=True)
class Made:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        """The certificate in PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        """The key in PEM."""
        return key_pem(self.key)

    @property
    def key_public(self) -> bytes:
        """The public key in DER."""
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def make(
    name: str | x509.Name = "device-1",
    *,
    begin: datetime = NOW - timedelta(days=1),
    end: datetime = NOW + timedelta(days=365),
    key: Key | None = None,
    issuer: Made | None = None,
    extension: x509.ExtensionType | None = None,
    extensions: Sequence[x509.ExtensionType] = (),
    serial: int = 4660,
) -> Made:
    """Make a certificate; without an issuer it is self-signed."""
    key = new_key() if key is None else key
    subject = name_of(name) if isinstance(name, str) else name
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(begin.replace(tzinfo=None))
        .not_valid_after(end.replace(tzinfo=None))
    )
    for each in [*extensions, *([extension] if extension is not None else [])]:
        builder = builder.add_extension(each, critical=False)
    signer = issuer.key if issuer else key
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Made(builder.sign(signer, digest), key)


def make_for(left_days: float, begin_days: float = -365, name: str = "device-1", key: Key | None = None) -> Made:
    """Make a certificate that ends ``days`` and an hour from now; no run of the tests takes an hour."""
    now = datetime.now(UTC) + timedelta(hours=1)
    return make(name, begin=now + timedelta(days=begin_days), end=now + timedelta(days=left_days), key=key)


def with_bytes(made: Made, old: bytes, new: bytes, signer: Made | None = None) -> Made:
    """Return a certificate with other bytes of the same length in it, signed again: what no library would write."""
    tbs = made.certificate.tbs_certificate_bytes
    assert old in tbs
    assert len(old) == len(new)
    changed = tbs.replace(old, new)
    key = (signer or made).key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    body = asn1_x509.Certificate.load(made.der).copy()
    encoded = asn1_x509.Certificate(
        {
            "tbs_certificate": asn1_x509.TbsCertificate.load(changed),
            "signature_algorithm": body["signature_algorithm"],
            "signature_value": key.sign(changed, ec.ECDSA(hashes.SHA256())),
        }
    ).dump()
    return Made(x509.load_der_x509_certificate(encoded), made.key)


def pem_of(*made: Made) -> bytes:
    """Return certificates in PEM, in this order."""
    return b"".join(each.pem for each in made)
