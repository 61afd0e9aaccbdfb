# SPDX-License-Identifier: Apache-2.0
"""Check a certificate made elsewhere before it is used: a CA's answer, or a candidate on disk."""

import shlex
import time
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from tedge_cert import cures, journal
from tedge_cert.disk import files
from tedge_cert.durations import counted, format_duration
from tedge_cert.errors import CertificateError, ClockError, UnreadableError
from tedge_cert.hourly.validity import NOT_VALID_YET
from tedge_cert.journal import quoted
from tedge_cert.times import CLOCK_TOLERANCE_S, rfc2822
from tedge_cert.x509.certificate import Certificate, from_pem
from tedge_cert.x509.clock import check_clock_of_device

# Limits of one answer or candidate: each certificate costs time, and every handshake sends the chain.
MOST_CERTIFICATES, LONGEST_CHAIN = 100, 10


class UnfitCertificateError(CertificateError):
    """A certificate that cannot serve this device: another key, another name, expired, or shorter-lived."""


def read_candidate(path: Path) -> bytes:
    """Read the bytes of a candidate, a file that other users may have written: follow no link, bound its size.

    Raises UnfitCertificateError for what is no plain file, and UnreadableError for a file that could not be looked at:
    it may be good.
    """
    try:
        return files.read_regular(path)
    except files.NotPlainFileError as error:
        raise UnfitCertificateError(f"{path} cannot be read as a plain file: {error.strerror}") from error
    except OSError as error:
        cure = f"sudo chmod 644 {shlex.quote(str(path))}" if isinstance(error, PermissionError) else ""
        how = f"`{cure}` lets user tedge read it" if cure else "check the file system"
        raise UnreadableError(
            f"cannot look at the candidate {path}: {error.strerror}; it is kept as it is: {how}", cure
        ) from error


def parse_candidate(content: bytes, public_key: bytes) -> Certificate:
    """Return the certificate of our key in the bytes of a candidate; raises UnfitCertificateError."""
    # Counted before they are parsed: a mebibyte holds more than a thousand.
    _refuse_too_many(content.count(b"-----BEGIN "))
    try:
        certificates = from_pem(content)
    except ValueError as error:
        raise UnfitCertificateError(f"it holds no certificate in PEM: {error}") from error
    return pick(certificates, public_key)


def pick(certificates: list[x509.Certificate], public_key: bytes) -> Certificate:
    """Return the certificate of our key out of an answer in any order, with its chain; raises UnfitCertificateError.

    A PKCS#7 SET has no order (RFC 2315 §9.1), so the leaf is known by its key, never by its position.
    """
    _refuse_too_many(len(certificates))
    candidates = [Certificate(each) for each in certificates]
    ours = [each for each in candidates if each.public_key == public_key]
    if not ours:
        raise UnfitCertificateError(
            f"none of the {counted(len(certificates), 'certificate')} received is for the key of this device"
        )
    leaf = max(ours, key=lambda each: each.validity.not_after_s)
    return Certificate(leaf.leaf, _chain_of(leaf, [each for each in candidates if each is not leaf]))


def with_chain_of(leaf: Certificate, others: list[Certificate]) -> Certificate:
    """Return ``leaf`` with the chain of its issuers out of ``others``; raises UnfitCertificateError for too many."""
    _refuse_too_many(len(others))
    return Certificate(leaf.leaf, _chain_of(leaf, others))


def _refuse_too_many(count: int) -> None:
    if count > MOST_CERTIFICATES:
        raise UnfitCertificateError(
            f"there are {count} certificates, expected the one of this device with its chain "
            f"({MOST_CERTIFICATES} at most)"
        )


def _chain_of(leaf: Certificate, others: list[Certificate]) -> tuple[x509.Certificate, ...]:
    chain: list[x509.Certificate] = []
    last = leaf
    while last.issuer != last.subject:
        issuer = _issuer_of(last, others)
        if issuer is None:
            break
        if len(chain) == LONGEST_CHAIN:
            raise UnfitCertificateError(f"its chain has more than {LONGEST_CHAIN} certificates")
        others = [each for each in others if each is not issuer]
        chain.append(issuer.leaf)
        last = issuer
    return tuple(chain)


def _issuer_of(issued: Certificate, others: list[Certificate]) -> Certificate | None:
    """Return the issuer whose key verifies the signature of ``issued``: after a key rollover two have the same name.

    The name decides where a kind of signature cannot be verified here.
    """
    named = [(each, _has_signed(each, issued)) for each in others if each.subject == issued.issuer]
    verified = [each for each, has_signed in named if has_signed]
    unknown = [each for each, has_signed in named if has_signed is None]
    return next(iter(verified or unknown), None)


def _has_signed(issuer: Certificate, issued: Certificate) -> bool | None:
    """Return whether the key of ``issuer`` verifies the signature of ``issued``; None if that kind is unknown here."""
    signature, signed = issued.leaf.signature, issued.leaf.tbs_certificate_bytes
    try:
        key, digest = issuer.leaf.public_key(), issued.leaf.signature_hash_algorithm
        is_pss = issued.leaf.signature_algorithm_oid == x509.SignatureAlgorithmOID.RSASSA_PSS
        if isinstance(key, ec.EllipticCurvePublicKey) and digest is not None:
            key.verify(signature, signed, ec.ECDSA(digest))
        elif isinstance(key, rsa.RSAPublicKey) and digest is not None and not is_pss:
            key.verify(signature, signed, padding.PKCS1v15(), digest)
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, signed)
        else:
            return None
    except InvalidSignature:
        return False
    except (ValueError, UnsupportedAlgorithm):
        return None
    return True


def check(
    candidate: Certificate,
    public_key: bytes,
    device_id: str,
    current: Certificate | None = None,
    now_s: float | None = None,
    by_unit: bool = True,
) -> None:
    """Check a new certificate before it is used; every one passes here, from any source.

    Raises UnfitCertificateError when it can never serve this device, ClockError when it is not valid yet: then the
    clock is in doubt, not the certificate. ``by_unit``: no person looks on, see ``_check_end``.
    """
    now_s = time.time() if now_s is None else now_s
    if candidate.public_key != public_key:
        raise UnfitCertificateError("it is for another key than the one of this device")
    if candidate.validity.device_id != device_id:
        name = quoted(candidate.validity.common_name) or "no name: it has no common name"
        raise UnfitCertificateError(f"it is issued to {name}, expected the device id {device_id}")
    if not candidate.is_self_signed:
        _check_purpose(candidate)
    validity = candidate.validity
    check_clock_of_device(now_s)
    if now_s > validity.not_after_s:
        raise UnfitCertificateError(f"it expired {format_duration(int(now_s - validity.not_after_s), 2)} ago")
    if validity.state(now_s + CLOCK_TOLERANCE_S, 0) == NOT_VALID_YET:
        raise ClockError(
            f"the clock is wrong: it says {rfc2822(int(now_s))}, but a certificate just issued begins "
            f"{rfc2822(validity.not_before_s)}; {cures.clock()}"
        )
    if current is not None and validity.not_after_s <= current.validity.not_after_s:
        _check_end(candidate, current, by_unit)


def _check_purpose(candidate: Certificate) -> None:
    """Raise UnfitCertificateError for a certificate with which no device may authenticate itself by TLS.

    Of an extension that cannot be read the tenant will judge.
    """
    use = candidate.extension(x509.KeyUsage)
    extended = candidate.extension(x509.ExtendedKeyUsage)
    constraints = candidate.extension(x509.BasicConstraints)
    purposes = ExtendedKeyUsageOID.CLIENT_AUTH, x509.ObjectIdentifier("2.5.29.37.0")
    told = "no tenant takes it from a device: its authority needs another profile for devices"
    if constraints is not None and constraints.ca:
        raise UnfitCertificateError(f"it is the certificate of an authority (CA:TRUE), {told}")
    if extended is not None and not any(each in purposes for each in extended):
        raise UnfitCertificateError(f"its extended key usage has no clientAuth, {told}")
    if use is not None and not use.digital_signature:
        raise UnfitCertificateError(f"its key usage has no digitalSignature, {told}")


def _check_end(candidate: Certificate, current: Certificate, by_unit: bool) -> None:
    """Refuse in the unit a certificate of the same issuer that ends no later than the current one; warn of others.

    In the unit it would be asked for again every hour. A person may want it, and a move to another issuer often ends
    earlier: from a self-signed certificate of ten years to the tenant's authority.
    """
    ends = (
        f"it ends {rfc2822(candidate.validity.not_after_s)}, not later than the certificate that it is to replace "
        f"({rfc2822(current.validity.not_after_s)}){_end_of_authority(candidate, current)}"
    )
    if by_unit and candidate.has_issuer_of(current):
        raise UnfitCertificateError(ends)
    journal.warning(f"the new certificate: {ends}")


def _end_of_authority(candidate: Certificate, current: Certificate) -> str:
    """Return that the issuer of ``candidate`` ends with it, if its certificate came in one of the chains."""
    issuer = _issuer_of(candidate, [Certificate(each) for each in (*candidate.chain, *current.chain)])
    if issuer is None or issuer.validity.not_after_s > candidate.validity.not_after_s + CLOCK_TOLERANCE_S:
        return ""
    return (
        f"; the authority itself ends on {rfc2822(issuer.validity.not_after_s)}, and issues nothing that lasts longer: "
        f"it needs a new certificate ({issuer.subject})"
    )
