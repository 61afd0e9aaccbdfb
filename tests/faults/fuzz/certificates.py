# SPDX-License-Identifier: Apache-2.0
"""Certificates and EST bodies; the reader of the hourly path must say what `cryptography` says."""

import base64
import calendar
import warnings
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tedge_cert.authority import answer_checks
from tedge_cert.errors import CertificateError, ClockError
from tedge_cert.hourly.pem_faults import PemError
from tedge_cert.hourly.validity import Validity, check_order, validity_of_der, validity_of_pem
from tedge_cert.x509.certificate import Certificate, from_der, from_pem
from tedge_cert.x509.pkcs7 import certificates_of
from tenant.pkcs7 import certs_only
from unit.certificates import make

_DATA = Path(__file__).parents[2] / "unit" / "data" / "est"
_CA = make("a CA")
_LEAF = make(issuer=_CA, extension=x509.SubjectAlternativeName([x509.DNSName("d.example")]))
_REAL = [each.read_bytes() for each in sorted(_DATA.glob("*.body"))]
_MADE = [certs_only([_LEAF.der, _CA.der], indefinite=each) for each in (False, True)]
_RECEIVED = [each.public_bytes(Encoding.DER) for body in _REAL for each in certificates_of(body)]

DER = (_LEAF.der, _CA.der, *_RECEIVED)
PEM = (
    _LEAF.pem + _CA.pem,
    _LEAF.pem.replace(b"\n", b"\r\n"),
    b"subject=CN=device\n" + _LEAF.pem,
    *(from_der(each).public_bytes(Encoding.PEM) for each in _RECEIVED),
)
BODIES = (*_REAL, *map(base64.b64decode, _REAL), *_MADE, *map(base64.encodebytes, _MADE), _LEAF.der, _LEAF.pem)
KEY = Certificate(_LEAF.certificate).public_key


def read_body(content: bytes) -> None:
    """An answer of EST, as far as the candidate that is written."""
    try:
        found = certificates_of(content)
    except ValueError:
        return
    with suppress(CertificateError, ClockError):
        answer_checks.check(answer_checks.pick(found, KEY), KEY, "device-1")
    for each in found:
        _show(each)


def read_der(content: bytes) -> None:
    """A certificate in DER."""
    theirs = _read_by_cryptography(content)
    try:
        ours: Validity | None = validity_of_der(content)
    except (ValueError, IndexError):
        ours = None
    if theirs is not None:
        assert ours is not None, "cryptography reads it, the hourly check does not"
        assert (ours.not_before_s, ours.not_after_s) == theirs
    try:
        found = from_der(content)
    except ValueError:
        return
    _show(found)


def read_pem(content: bytes) -> None:
    """A file with certificates: the hourly check and the steps agree on it."""
    try:
        found = from_pem(content)
        check_order([Certificate(each).validity for each in found])
    except ValueError:
        found = []
    try:
        ours = validity_of_pem(content)
    except PemError:
        if found:
            raise
        return
    assert all(ours.describe(now_s, 0) for now_s in (0, ours.not_after_s + 1))
    if found:
        first = Certificate(found[0]).validity
        assert (ours.not_before_s, ours.not_after_s) == (first.not_before_s, first.not_after_s)
    for each in found:
        _show(each)


def _read_by_cryptography(content: bytes) -> tuple[int, int] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read = x509.load_der_x509_certificate(content)
            return _seconds(read.not_valid_before), _seconds(read.not_valid_after)
        except (ValueError, x509.InvalidVersion):
            return None


def _seconds(moment: datetime) -> int:
    return calendar.timegm(moment.utctimetuple())


def _show(found: x509.Certificate) -> None:
    read = Certificate(found)
    text = read.describe(Path("/c.pem"), 0)
    assert len(text.splitlines()) == 8
    assert all(line.isprintable() for line in text.splitlines())
    assert isinstance(read.validity.device_id, str)
    assert isinstance(read.public_key, bytes)
    assert read.is_self_signed in (True, False)
