# SPDX-License-Identifier: Apache-2.0
"""X.509 certificates: loading and showing."""

import binascii
import hashlib
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning

from tedge_cert import terminal
from tedge_cert.disk import files
from tedge_cert.errors import CertificateError, mend
from tedge_cert.hourly.validity import BEGIN, END, Validity, validity_of_der
from tedge_cert.times import rfc2822

# That a later release of the library will refuse it is nothing that the reader of a line can do anything about.
warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning)

_NAMES = {
    "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
    "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "T", "2.5.4.42": "GN",
    "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "Email",
}  # fmt: skip


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
        """Leaf first, then its chain, as it is written to disk."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in (self.leaf, *self.chain))

    @property
    def validity(self) -> Validity:
        """Its period, in seconds since the epoch."""
        return validity_of_der(self.der)

    @property
    def common_names(self) -> list[str]:
        """Every CN of the subject, in order."""
        return [str(each.value) for each in self.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]

    @property
    def subject(self) -> x509.Name:
        """The subject, without a word about lengths that real CAs exceed."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.leaf.subject

    @property
    def issuer(self) -> x509.Name:
        """The issuer, likewise (Cumulocity's has a country of thirteen characters)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.leaf.issuer

    @property
    def is_self_signed(self) -> bool:
        """Whether the device made it itself: nobody else vouches for it, so the tenant has to be told of it."""
        return self.issuer == self.subject

    @property
    def public_key(self) -> bytes:
        """The SubjectPublicKeyInfo in DER, to compare keys by; empty for a kind of key that is unknown here."""
        try:
            key = self.leaf.public_key()
        except (ValueError, UnsupportedAlgorithm):
            return b""
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def describe(self, path: Path, minimum_s: int, now_s: float | None = None) -> str:
        """The block of ``tedge cert show``, ending in a line break."""
        now_s = time.time() if now_s is None else now_s
        serial = self.leaf.serial_number
        rows = (
            ("Certificate:", str(path)),
            ("Subject:", name_text(self.subject)),
            ("Issuer:", name_text(self.issuer)),
            ("Status:", terminal.of_status(self.validity.describe(now_s, minimum_s))),
            ("Valid from:", rfc2822(self.validity.not_before_s)),
            ("Valid until:", rfc2822(self.validity.not_after_s)),
            ("Serial number:", f"{serial} (0x{serial:x})"),
            ("Thumbprint:", hashlib.sha1(self.der, usedforsecurity=False).hexdigest().upper()),
        )
        return "".join(f"{label:<15}{value}\n" for label, value in rows)


def name_text(name: x509.Name) -> str:
    """A distinguished name in the order of its encoding: ``CN=…, O=…``."""
    return ", ".join(
        " + ".join(f"{_NAMES.get(each.oid.dotted_string, each.oid.dotted_string)}={_shown(each.value)}" for each in rdn)
        for rdn in name.rdns
    )


def _shown(value: str | bytes) -> str:
    """A part of a name; what would break a line, or steer a terminal, is shown by its number."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else f"\\{ord(each):04X}" for each in text)


def load(path: Path) -> Certificate:
    """The certificate at ``path``, leaf first; raises CertificateError."""
    try:
        content = files.read_regular(path, follow=True)
    except OSError as error:
        source = "`tedge cert renew`" if path.suffix == ".new" else "`tedge cert download c8y`"
        raise CertificateError(
            f"cannot read the certificate {path}: {error.strerror}; expected a certificate in PEM ({source} gets one)"
            f"{mend(error)}"
        ) from error
    try:
        certificates = from_pem(content)
    except ValueError as error:
        raise CertificateError(f"{path} holds no certificate in PEM: {error}") from error
    return Certificate(certificates[0], tuple(certificates[1:]))


def from_pem(content: bytes) -> list[x509.Certificate]:
    """Every certificate of a PEM file, in its order; raises ValueError if there is none."""
    blocks = [rest.partition(END) for rest in content.split(BEGIN)[1:]]
    if not blocks:
        raise ValueError("the file is empty" if not content.strip() else 'no "BEGIN CERTIFICATE" block found')
    if not all(end for _, end, _ in blocks):
        raise ValueError('a block has no "END CERTIFICATE" line: the file is cut off')
    return [from_der(binascii.a2b_base64(block)) for block, _, _ in blocks]


def from_der(der: bytes) -> x509.Certificate:
    """The certificate in ``der``, its names and dates known to be readable; raises ValueError."""
    try:
        found = x509.load_der_x509_certificate(der)
        # The library looks at these only when asked for them, and then raises whatever it stumbles over.
        read = Certificate(found)
        _ = read.subject, read.issuer, read.validity
    except (KeyError, IndexError, TypeError, x509.InvalidVersion) as error:
        raise ValueError(f"malformed ({type(error).__name__}: {error})") from error
    return found
