# SPDX-License-Identifier: Apache-2.0
"""The tenant's certificate authorities, one for its servers and one for the devices."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from asn1crypto import algos, core, keys, x509
from cryptography import x509 as cx509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, Hash
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Authority:
    """A certificate that signs others, with its key."""

    key: Key
    der: bytes
    above: tuple[bytes, ...] = ()  # the certificates between it and the root, the root last

    @property
    def chain(self) -> list[bytes]:
        """Itself and what is above it."""
        return [self.der, *self.above]


def new_key() -> Key:
    """P-256, because thousands of devices ask."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key) -> str:
    """The key in PEM, unencrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def pem(der: bytes) -> str:
    """A certificate in PEM."""
    return cx509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()


def _key_id(public_key: bytes) -> bytes:
    digest = Hash(SHA1())  # noqa: S303 (the identifier that RFC 5280 4.2.1.2 describes, not a protection)
    digest.update(bytes(keys.PublicKeyInfo.load(public_key)["public_key"]))
    return digest.finalize()


def spki(key: Key) -> bytes:
    """The public key of a key, as a certificate holds it."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def extensions_of(*, ca: bool, purpose: str, public_key: bytes, issuer_key: bytes) -> list[dict[str, Any]]:
    """The extensions that every certificate has."""
    usage = {"key_cert_sign", "crl_sign"} if ca else {"digital_signature"}
    wanted: list[dict[str, Any]] = [
        {"extn_id": "basic_constraints", "critical": True, "extn_value": {"ca": ca}},
        {"extn_id": "key_usage", "critical": True, "extn_value": usage},
        {"extn_id": "key_identifier", "critical": False, "extn_value": _key_id(public_key)},
        {
            "extn_id": "authority_key_identifier",
            "critical": False,
            "extn_value": {"key_identifier": _key_id(issuer_key)},
        },
    ]
    if purpose:
        wanted.append({"extn_id": "extended_key_usage", "critical": False, "extn_value": [purpose]})
    return wanted


def _simple(extensions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return them as simple tools write them: no key identifiers, and nothing critical (RFC 5280 asks for both)."""
    identifiers = ("key_identifier", "authority_key_identifier")
    return [{**each, "critical": False} for each in extensions if each["extn_id"] not in identifiers]


def _time(when: datetime) -> Any:
    # RFC 5280 4.1.2.5: UTCTime through 2049.
    name = "utc_time" if when.year < 2050 else "general_time"
    return x509.Time({name: when.replace(microsecond=0)})


def sign(
    signer: Key,
    issuer: Any,
    subject: Any,
    public_key: bytes,
    valid: tuple[datetime, datetime],
    extensions: list[Any],
) -> bytes:
    """Return a certificate; names and keys go in as the bytes they came in."""
    algorithm = algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"})
    content = x509.TbsCertificate(
        {
            "version": "v3",
            "serial_number": secrets.randbits(126) | 1 << 126,  # random, positive, 16 octets
            "signature": algorithm,
            "issuer": issuer,
            "validity": {"not_before": _time(valid[0]), "not_after": _time(valid[1])},
            "subject": subject,
            "subject_public_key_info": keys.PublicKeyInfo.load(public_key),
            "extensions": extensions,
        }
    )
    signature = signer.sign(content.dump(), ec.ECDSA(SHA256()))
    whole = x509.Certificate(
        {
            "tbs_certificate": content,
            "signature_algorithm": algorithm,
            "signature_value": core.OctetBitString(signature),
        }
    )
    return bytes(whole.dump())


def name(common_name: str) -> Any:
    """A name that is a CN alone."""
    return x509.Name.build({"common_name": common_name})


def _now(offset_s: float = 0) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=offset_s)


def make_authority(common_name: str, above: Authority | None = None, simple: bool = False) -> Authority:
    """A new authority: a root, or one issued by `above`; its certificate may be a `simple` one."""
    key = new_key()
    signer = above.key if above else key
    issuer = x509.Certificate.load(above.der).subject if above else name(common_name)
    extensions = extensions_of(ca=True, purpose="", public_key=spki(key), issuer_key=spki(signer))
    if simple:
        extensions = _simple(extensions)
    # As long as the tenant CA of Cumulocity lives.
    der = sign(signer, issuer, name(common_name), spki(key), (_now(-3600), _now(1095 * 86_400)), extensions)
    return Authority(key, der, tuple(above.chain) if above else ())


def prolong(authority: Authority, days: int) -> bytes:
    """Issue a root's certificate again, with the same key and name, valid for ``days`` from now (may be negative)."""
    subject, end = x509.Certificate.load(authority.der).subject, _now(days * 86_400)
    public_key = spki(authority.key)
    extensions = extensions_of(ca=True, purpose="", public_key=public_key, issuer_key=public_key)
    begin = min(_now(-3600), end - timedelta(days=1))
    return sign(authority.key, subject, subject, public_key, (begin, end), extensions)


def keep_authority(
    directory: Path, stem: str, common_name: str, above: Authority | None = None, simple: bool = False
) -> Authority:
    """The authority whose files are in the directory, made there if they are not."""
    certificate, key = directory / f"{stem}.pem", directory / f"{stem}.key"
    if not (certificate.exists() and key.exists()):
        made = make_authority(common_name, above, simple)
        key.write_text(key_pem(made.key), encoding="ascii")
        certificate.write_text(pem(made.der), encoding="ascii")
        return made
    loaded = load_pem_private_key(key.read_bytes(), None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{key}: not an EC key")
    der = cx509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    return Authority(loaded, der, tuple(above.chain) if above else ())


def _general_name(host: str) -> Any:
    try:
        return x509.GeneralName("ip_address", str(ip_address(host)))
    except ValueError:  # not an address, so a name
        return x509.GeneralName("dns_name", host)


def write_server_certificate(
    directory: Path, authority: Authority, hosts: list[str], simple: bool = False
) -> tuple[Path, Path]:
    """Issue `server.pem` for these hosts; returns the certificate (with its issuer) and the key."""
    key = new_key()
    extensions: list[Any] = extensions_of(
        ca=False, purpose="server_auth", public_key=spki(key), issuer_key=spki(authority.key)
    )
    if simple:
        extensions = _simple(extensions)
    names = x509.GeneralNames([_general_name(host) for host in hosts])
    extensions.append({"extn_id": "subject_alt_name", "critical": False, "extn_value": names})
    issuer = x509.Certificate.load(authority.der).subject
    valid = (_now(-3600), _now(365 * 86_400))
    der = sign(authority.key, issuer, name(hosts[0]), spki(key), valid, extensions)
    certificate, key_path = directory / "server.pem", directory / "server.key"
    certificate.write_text(pem(der) + pem(authority.der), encoding="ascii")
    key_path.write_text(key_pem(key), encoding="ascii")
    return certificate, key_path
