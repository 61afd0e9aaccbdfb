# SPDX-License-Identifier: Apache-2.0
"""The checks of a certificate that somebody else made, before it is used: a CA's answer, or a candidate on disk."""

import time
from pathlib import Path

from cryptography import x509

from tedge_cert.disk import files
from tedge_cert.durations import format_duration
from tedge_cert.errors import CertificateError, ClockError
from tedge_cert.hourly.validity import NOT_VALID_YET
from tedge_cert.times import CLOCK_TOLERANCE_S, rfc2822
from tedge_cert.x509.certificate import Certificate, from_pem
from tedge_cert.x509.clock import check_clock_of_device


class UnfitCertificateError(CertificateError):
    """A certificate that cannot serve this device: another key, another name, expired, or shorter-lived."""


def read_candidate(path: Path) -> bytes:
    """The bytes of a candidate, which anybody may have put there: no link is followed, its size is bounded.

    Raises UnfitCertificateError.
    """
    try:
        return files.read_regular(path)
    except OSError as error:
        raise UnfitCertificateError(f"{path} cannot be read as a plain file: {error.strerror}") from error


def parse_candidate(content: bytes, public_key: bytes) -> Certificate:
    """The certificate of our key in the bytes of a candidate; raises UnfitCertificateError."""
    try:
        certificates = from_pem(content)
    except ValueError as error:
        raise UnfitCertificateError(f"it holds no certificate in PEM: {error}") from error
    return pick(certificates, public_key)


def pick(certificates: list[x509.Certificate], public_key: bytes) -> Certificate:
    """The certificate of our key out of an answer in any order, with its chain; raises UnfitCertificateError.

    A PKCS#7 SET has no order (RFC 2315 §9.1), so the leaf is known by its key, never by its position.
    """
    candidates = [Certificate(each) for each in certificates]
    ours = [each for each in candidates if each.public_key == public_key]
    if not ours:
        raise UnfitCertificateError(
            f"none of the {len(certificates)} certificate(s) received is for the key of this device"
        )
    leaf = max(ours, key=lambda each: each.validity.not_after_s)
    return Certificate(leaf.leaf, _chain_of(leaf, [each for each in candidates if each is not leaf]))


def _chain_of(leaf: Certificate, others: list[Certificate]) -> tuple[x509.Certificate, ...]:
    chain: list[x509.Certificate] = []
    last = leaf
    while last.issuer != last.subject:
        issuer = next((each for each in others if each.subject == last.issuer), None)
        if issuer is None:
            break
        others = [each for each in others if each is not issuer]
        chain.append(issuer.leaf)
        last = issuer
    return tuple(chain)


def check(
    candidate: Certificate,
    public_key: bytes,
    device_id: str,
    current: Certificate | None = None,
    now_s: float | None = None,
) -> None:
    """The checks that every new certificate must pass before it is used, whoever wrote it.

    Raises UnfitCertificateError when it can never serve this device, ClockError when it is not valid yet: then
    the clock is to be doubted, not the certificate.
    """
    now_s = time.time() if now_s is None else now_s
    if candidate.public_key != public_key:
        raise UnfitCertificateError("it is for another key than the one of this device")
    if candidate.common_names != [device_id]:
        names = ", ".join(candidate.common_names) or "nobody"
        raise UnfitCertificateError(f"it is issued to {names}, expected the device id {device_id}")
    validity = candidate.validity
    check_clock_of_device(now_s)
    if now_s > validity.not_after_s:
        raise UnfitCertificateError(f"it expired {format_duration(int(now_s - validity.not_after_s), 2)} ago")
    if validity.state(now_s + CLOCK_TOLERANCE_S, 0) == NOT_VALID_YET:
        raise ClockError(
            f"the clock is wrong: it says {rfc2822(int(now_s))}, but a certificate just issued begins "
            f"{rfc2822(validity.not_before_s)}; set the clock (timedatectl status)"
        )
    if current is not None and validity.not_after_s <= current.validity.not_after_s:
        raise UnfitCertificateError(
            f"it ends {rfc2822(validity.not_after_s)}, not later than the certificate that it is to replace "
            f"({rfc2822(current.validity.not_after_s)})"
        )
