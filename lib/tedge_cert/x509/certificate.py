# SPDX-License-Identifier: Apache-2.0
"""Load certificates and describe them."""

import hashlib
import shlex
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning

from tedge_cert import cures, journal, terminal
from tedge_cert.disk import files
from tedge_cert.errors import CertificateError, UnreadableError
from tedge_cert.hourly import pem
from tedge_cert.hourly.der import attributes
from tedge_cert.hourly.pem_faults import PemError
from tedge_cert.hourly.validity import Validity, check_order, validity_of_der
from tedge_cert.times import rfc2822

# The reader of a line can do nothing about what a later release of the library will refuse.
warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning)

_NAMES = {
    "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
    "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "T", "2.5.4.42": "GN",
    "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "Email",
}  # fmt: skip

Extension = TypeVar("Extension", bound=x509.ExtensionType)


@dataclass(frozen=True)
class Certificate:
    """A leaf certificate with the chain that came with it, in order."""

    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        """The leaf in DER."""
        return self.leaf.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The leaf, then its chain, as written to disk."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in (self.leaf, *self.chain))

    @property
    def validity(self) -> Validity:
        """The period of the leaf, in seconds since the epoch."""
        return validity_of_der(self.der)

    @property
    def subject(self) -> str:
        """The name of the holder, for a person."""
        return name_text(self.validity.subject)

    @property
    def issuer(self) -> str:
        """The name of the issuer, for a person."""
        return name_text(self.validity.issuer)

    @property
    def is_self_signed(self) -> bool:
        """Whether the device signed it itself, so that the tenant trusts it only after an upload."""
        return self.issuer == self.subject

    def has_issuer_of(self, other: "Certificate") -> bool:
        """Return whether the same authority issued both: the same name, and the same key where both tell it."""
        named = {key for each in (self, other) if (key := each.authority_key)}
        brought = {key for each in (self, other) if (key := each.key_of_issuer)}
        return self.issuer == other.issuer and len(named) < 2 and len(brought) < 2

    @property
    def key_of_issuer(self) -> bytes:
        """The key of the issuer in the chain, as ``public_key`` is; empty where the chain does not begin with it."""
        first = Certificate(self.chain[0]) if self.chain else None
        return first.public_key if first is not None and first.subject == self.issuer else b""

    @property
    def authority_key(self) -> bytes:
        """The identifier of the issuer's key (RFC 5280 §4.2.1.1); empty where the certificate does not name it."""
        found = self.extension(x509.AuthorityKeyIdentifier)
        return (found.key_identifier if found else None) or b""

    @property
    def alternative_names(self) -> str:
        """The subjectAltName, for a person and to compare two; empty if there is none that can be read."""
        found = self.extension(x509.SubjectAlternativeName)
        return ", ".join(journal.quoted(str(each.value)) for each in found or ())

    def extension(self, kind: type[Extension]) -> Extension | None:
        """Return an extension of the leaf; None where there is none, or where one of all cannot be read."""
        try:
            return self.leaf.extensions.get_extension_for_class(kind).value
        except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
            return None

    @property
    def public_key(self) -> bytes:
        """The SubjectPublicKeyInfo in DER, to compare keys; empty for a kind of key that is not known here."""
        try:
            return encoded(self.leaf.public_key())
        except (ValueError, UnsupportedAlgorithm):
            key = _key_of_explicit_curve(self.der)
        return encoded(key) if key else b""

    def describe(self, path: Path, minimum_s: int, now_s: float | None = None) -> str:
        """Return the block of ``tedge cert show``, ending in a line break."""
        now_s = time.time() if now_s is None else now_s
        serial = self.leaf.serial_number
        rows = (
            ("Certificate:", str(path)),
            ("Subject:", self.subject),
            ("Issuer:", self.issuer),
            ("Status:", terminal.of_status(self.validity.describe(now_s, minimum_s))),
            ("Valid from:", rfc2822(self.validity.not_before_s)),
            ("Valid until:", rfc2822(self.validity.not_after_s)),
            ("Serial number:", f"{serial} (0x{serial:x})"),
            ("Thumbprint:", hashlib.sha1(self.der, usedforsecurity=False).hexdigest().upper()),
        )
        return "".join(f"{label:<15}{value}\n" for label, value in rows)


def encoded(public_key: Any) -> bytes:
    """Return a public key of the library as SubjectPublicKeyInfo in DER."""
    found: bytes = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return found


def name_text(name: bytes) -> str:
    """Return a distinguished name (DER, without its header) in the order of its encoding: ``CN=…, O=…``.

    What is no text in it is shown by number. Raises ValueError or IndexError.
    """
    text = ""
    for oid, value, joins in attributes(name):
        dotted = _dotted(oid)
        separator = " + " if joins else ", "
        text += f"{separator if text else ''}{_NAMES.get(dotted, dotted)}={journal.quoted(value)}"
    return text


def _dotted(oid: bytes) -> str:
    """Return an object identifier as numbers with dots (X.690 §8.19)."""
    numbers, number = [], 0
    for octet in oid:
        number = number << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def load(path: Path) -> Certificate:
    """Load the certificate at ``path``, leaf first; raises CertificateError."""
    try:
        content = files.read_regular(path, follow=True)
    except OSError as error:
        source = cures.command("cert renew") if path.suffix == ".new" else cures.register()
        raise unread(error)(
            f"cannot read the certificate {path}: {error.strerror}; expected a certificate in PEM ({source} gets one)"
            f"{cures.mend(error)}"
        ) from error
    try:
        certificates = from_pem(content)
        check_order([Certificate(each).validity for each in certificates])
    except ValueError as error:
        cure = error.cure.replace("FILE", shlex.quote(str(path))) if isinstance(error, PemError) else ""
        how = f"; `{cure}` mends it" if cure else ""
        raise CertificateError(f"{path} holds no certificate in PEM: {error}{how}", cure) from error
    return Certificate(certificates[0], tuple(certificates[1:]))


def unread(error: OSError) -> type[CertificateError]:
    """Return the class of error for a file that was not read: UnreadableError unless it is missing or no file."""
    known = isinstance(error, FileNotFoundError | NotADirectoryError | files.NotPlainFileError)
    return CertificateError if known else UnreadableError


def from_pem(content: bytes) -> list[x509.Certificate]:
    """Return every certificate of a PEM file, in its order; raises ValueError if there is none."""
    return [from_der(each) for each in pem.certificates_in(content)]


def from_der(der: bytes) -> x509.Certificate:
    """Load the certificate in ``der`` and check that its names and dates can be read; raises ValueError."""
    try:
        found = x509.load_der_x509_certificate(der)
        read = Certificate(found)
        _ = read.subject, read.issuer
    except (KeyError, IndexError, TypeError, x509.InvalidVersion) as error:
        raise ValueError(f"malformed ({type(error).__name__}: {error})") from error
    return found


def _key_of_explicit_curve(der: bytes) -> ec.EllipticCurvePublicKey | None:
    """Return the key of a certificate that spells its curve out (RFC 3279 §2.3.5), which the library does not read."""
    from asn1crypto import x509 as asn1_x509

    try:
        public = asn1_x509.Certificate.load(der)["tbs_certificate"]["subject_public_key_info"]
        if public["algorithm"]["algorithm"].native != "ec" or public["algorithm"]["parameters"].name != "specified":
            return None
        point = bytes(public["public_key"])
        curve = {65: ec.SECP256R1(), 97: ec.SECP384R1(), 133: ec.SECP521R1()}[len(point)]
        # Fails for a point that is not on this curve.
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    except (ValueError, KeyError, TypeError):
        return None
