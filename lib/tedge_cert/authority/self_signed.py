# SPDX-License-Identifier: Apache-2.0
"""Certificates that the device signs itself; the tenant trusts one after it was uploaded."""

import time
import warnings
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from tedge_cert import journal
from tedge_cert.config.settings import Config
from tedge_cert.durations import format_duration
from tedge_cert.errors import CertificateError, ConfigurationError
from tedge_cert.x509.certificate import Certificate
from tedge_cert.x509.hardware_keys import HardwareKey
from tedge_cert.x509.keys import PrivateKey

DURATION = "certificate.validity.requested_duration"
# It begins in the past, so that a tenant whose clock is behind the device's takes it at once.
BEGINS_BEFORE_S = 86_400


def first(key: PrivateKey, subject: x509.Name, config: Config) -> Certificate:
    """Sign a certificate for ``subject``, valid as long as the configuration asks for; raises ConfigurationError."""
    begin_s = int(time.time()) - BEGINS_BEFORE_S
    end_s = begin_s + config.seconds(DURATION)
    if end_s <= time.time():
        journal.warning(
            f"the certificate has expired already: it begins a day ago, and {DURATION} is {config.need(DURATION)}; "
            f"`sudo tedge config set {DURATION} 365d` and create it again"
        )
    return _sign(key, subject, begin_s, end_s)


def successor(key: PrivateKey, current: Certificate, config: Config) -> Certificate:
    """Sign a certificate of the same key and subject that ends later than ``current``; raises ConfigurationError."""
    begin_s = int(time.time()) - BEGINS_BEFORE_S
    end_s = begin_s + config.seconds(DURATION)
    least_s = current.validity.not_after_s + 1
    # A certificate made in the same second as the current one would end with it, which needs no warning.
    if end_s < least_s - 1:
        journal.warning(
            f"with {DURATION} {config.need(DURATION)} the new certificate would end "
            f"{format_duration(least_s - 1 - end_s, 2)} before the current one, so it ends just after that one instead"
        )
    return _sign(key, _subject_of(current), begin_s, max(end_s, least_s))


def _subject_of(current: Certificate) -> x509.Name:
    """Return the subject, to be repeated; raises CertificateError for one that the library cannot write again."""
    with warnings.catch_warnings():
        # Of lengths that the certificate has already.
        warnings.simplefilter("ignore")
        try:
            return current.leaf.subject
        except ValueError as error:
            raise CertificateError(
                f"the subject of the certificate is not valid text ({current.subject}), so no certificate can repeat "
                "it; `sudo tedge cert remove`, then `sudo tedge cert create --device-id <id>` makes one that can be "
                "renewed"
            ) from error


def _sign(key: PrivateKey, subject: x509.Name, begin_s: int, end_s: int) -> Certificate:
    try:
        begin, end = (datetime.fromtimestamp(each, UTC).replace(tzinfo=None) for each in (begin_s, end_s))
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigurationError(
            f"{DURATION} is too long: a certificate ends before the year 10000; "
            f"`sudo tedge config set {DURATION} 365d` is usual"
        ) from error
    public: Any = load_der_public_key(key.public_key) if isinstance(key, HardwareKey) else key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        # Cumulocity refuses to trust a certificate that says of itself that it is no CA.
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    if isinstance(key, HardwareKey):
        return _signed_in_hardware(builder, key)
    return Certificate(builder.sign(key, hashes.SHA256()))


def _signed_in_hardware(builder: x509.CertificateBuilder, key: HardwareKey) -> Certificate:
    """Sign what a key of the same kind signed for the library, which can give its content to no other signer."""
    from asn1crypto import x509 as asn1_x509

    stand_in = rsa.generate_private_key(65_537, 2048) if key.is_rsa else ec.generate_private_key(ec.SECP256R1())
    made = builder.sign(stand_in, hashes.SHA256())
    certificate = asn1_x509.Certificate.load(made.public_bytes(Encoding.DER))
    certificate["signature_value"] = key.sign(made.tbs_certificate_bytes)
    return Certificate(x509.load_der_x509_certificate(certificate.dump()))
