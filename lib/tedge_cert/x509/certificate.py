# SPDX-License-Identifier: Apache-2.0
"""Load certificates and describe them."""

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

from tedge_cert import cures, journal, terminal
from tedge_cert.disk import files
from tedge_cert.errors import CertificateError
from tedge_cert.hourly.validity import BEGIN, END, Validity, validity_of_der
from tedge_cert.times import rfc2822

# The reader of a line can do nothing about what a later release of the library will refuse.
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
        """The leaf, then its chain, as written to disk."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in (self.leaf, *self.chain))

    @property
    def validity(self) -> Validity:
        """The period of the leaf, in seconds since the epoch."""
        return validity_of_der(self.der)

    @property
    def common_names(self) -> list[str]:
        """Every CN of the subject, in order."""
        return [str(each.value) for each in self.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]

    @property
    def subject(self) -> x509.Name:
        """The subject; the library warns of lengths that real CAs exceed, which is suppressed."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.leaf.subject

    @property
    def issuer(self) -> x509.Name:
        """The issuer; the country of Cumulocity's has thirteen characters, so the same warning is suppressed."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.leaf.issuer

    @property
    def is_self_signed(self) -> bool:
        """Whether the device signed it itself, so that the tenant trusts it only after an upload."""
        return self.issuer == self.subject

    def has_issuer_of(self, other: "Certificate") -> bool:
        """Return whether the same authority issued both: the same name, and the same key where both name it."""
        keys = {key for each in (self, other) if (key := each.authority_key)}
        return self.issuer == other.issuer and len(keys) < 2

    @property
    def authority_key(self) -> bytes:
        """The identifier of the issuer's key (RFC 5280 §4.2.1.1); empty where the certificate does not name it."""
        try:
            found = self.leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
        except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
            return b""
        return found.value.key_identifier or b""

    @property
    def public_key(self) -> bytes:
        """The SubjectPublicKeyInfo in DER, to compare keys; empty for a kind of key that the library does not know."""
        try:
            key = self.leaf.public_key()
        except (ValueError, UnsupportedAlgorithm):
            return b""
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def describe(self, path: Path, minimum_s: int, now_s: float | None = None) -> str:
        """Return the block of ``tedge cert show``, ending in a line break."""
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
    """Return a distinguished name in the order of its encoding: ``CN=…, O=…``."""
    return ", ".join(
        " + ".join(
            f"{_NAMES.get(each.oid.dotted_string, each.oid.dotted_string)}={journal.quoted(str(each.value))}"
            for each in rdn
        )
        for rdn in name.rdns
    )


def load(path: Path) -> Certificate:
    """Load the certificate at ``path``, leaf first; raises CertificateError."""
    try:
        content = files.read_regular(path, follow=True)
    except OSError as error:
        source = cures.command("cert renew") if path.suffix == ".new" else cures.register()
        raise CertificateError(
            f"cannot read the certificate {path}: {error.strerror}; expected a certificate in PEM ({source} gets one)"
            f"{cures.mend(error)}"
        ) from error
    try:
        certificates = from_pem(content)
    except ValueError as error:
        raise CertificateError(f"{path} holds no certificate in PEM: {error}") from error
    return Certificate(certificates[0], tuple(certificates[1:]))


def from_pem(content: bytes) -> list[x509.Certificate]:
    """Return every certificate of a PEM file, in its order; raises ValueError if there is none."""
    blocks = [rest.partition(END) for rest in content.split(BEGIN)[1:]]
    if not blocks:
        raise ValueError("the file is empty" if not content.strip() else 'no "BEGIN CERTIFICATE" block found')
    if not all(end for _, end, _ in blocks):
        raise ValueError('a block has no "END CERTIFICATE" line: the file is cut off')
    return [from_der(binascii.a2b_base64(block)) for block, _, _ in blocks]


def from_der(der: bytes) -> x509.Certificate:
    """Load the certificate in ``der`` and check that its names and dates can be read; raises ValueError."""
    try:
        found = x509.load_der_x509_certificate(der)
        # The library reads these only on access, and then raises errors of several types.
        read = Certificate(found)
        _ = read.subject, read.issuer, read.validity
    except (KeyError, IndexError, TypeError, x509.InvalidVersion) as error:
        raise ValueError(f"malformed ({type(error).__name__}: {error})") from error
    return found
