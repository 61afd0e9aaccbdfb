# SPDX-License-Identifier: Apache-2.0
"""The DER reader of the hourly path, compared with `cryptography`, and its errors for broken input."""

import base64
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tedge_cert.durations import format_duration
from tedge_cert.hourly.pem_faults import PemError
from tedge_cert.hourly.validity import Validity, read_validity, validity_of_pem
from unit.certificates import DAY_S, NOW_S, Made, make, name_of

FIRST, LAST = datetime(1950, 1, 1), datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001 (hypothesis adds the zone)
TIMES = st.datetimes(FIRST, LAST, timezones=st.just(UTC)).map(lambda each: each.replace(microsecond=0))
GOOD = make()
KEY = GOOD.key


def pem_of(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


@settings(max_examples=100)
@given(TIMES, TIMES)
@example(datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC))
@example(datetime(2000, 2, 29, tzinfo=UTC), datetime(2100, 3, 1, tzinfo=UTC))
def test_reads_every_date(one: datetime, other: datetime) -> None:
    begin, end = min(one, other), max(one, other)
    read = validity_of_pem(make(begin=begin, end=end, key=KEY).pem)
    assert (read.not_before_s, read.not_after_s) == (begin.timestamp(), end.timestamp())


@pytest.mark.parametrize(
    "made",
    [
        make(x509.Name([])),
        make(name_of("x" * 60), issuer=make("a CA")),
        make(serial=2**158 + 1),
        make(extension=x509.SubjectAlternativeName([x509.DNSName("d.example")] * 40)),
    ],
)
def test_reads_every_form(made: Made) -> None:
    assert validity_of_pem(made.pem).not_after_s == NOW_S + 365 * DAY_S


CN, ORGANIZATION = x509.NameOID.COMMON_NAME, x509.NameOID.ORGANIZATION_NAME


def attribute(text: str, oid: x509.ObjectIdentifier = CN, kind: str = "UTF8String") -> x509.NameAttribute:
    return x509.NameAttribute(oid, text, getattr(_ASN1Type, kind))


@pytest.mark.parametrize(
    ("name", "holder"),
    [
        (name_of("device-1"), "device-1"),
        (x509.Name([]), ""),
        (x509.Name([attribute("ACME", ORGANIZATION)]), ""),
        (x509.Name([attribute("ACME", ORGANIZATION), attribute("Größe"), attribute("second")]), "Größe"),
        (x509.Name([attribute("wide", kind="BMPString")]), "wide"),
        (x509.Name([attribute("plain", kind="PrintableString")]), "plain"),
        (x509.Name([x509.RelativeDistinguishedName([attribute("ACME", ORGANIZATION), attribute("both")])]), "both"),
        (x509.Name([attribute("x" * 64)]), "x" * 64),
    ],
)
@pytest.mark.parametrize("serial", [1, 0x80, 2**158 + 1])
def test_reads_serial_and_holder(name: x509.Name, holder: str, serial: int) -> None:
    """The slot of a device depends on its name, so this must be the one that the library reads."""
    made = make(name, serial=serial, key=KEY, issuer=GOOD)
    read = validity_of_pem(made.pem)
    found = made.certificate.subject.get_attributes_for_oid(CN)
    assert (read.serial, read.device_id) == (f"{serial:x}", found[0].value if found else "")
    assert read.device_id == holder


@given(st.binary(max_size=40))
def test_a_name_that_is_none_has_no_holder(subject: bytes) -> None:
    assert isinstance(Validity(0, 1, "1", subject).common_name, str)


@pytest.mark.parametrize(
    "change",
    [
        lambda pem: pem.replace(b"\n", b"\r\n"),
        lambda pem: b"Bag Attributes\n    friendlyName: device\n" + pem,
        lambda pem: pem + make("a CA", end=datetime(2100, 1, 1, tzinfo=UTC)).pem,
        lambda pem: make().key_pem + pem,
        lambda pem: b"\xef\xbb\xbf" + pem.rstrip(b"\n"),
    ],
)
def test_accepts_what_lies_around_a_certificate(tmp_path: Path, change: Any) -> None:
    file = tmp_path / "cert.pem"
    file.write_bytes(change(GOOD.pem))
    assert read_validity(str(file)).not_after_s == NOW_S + 365 * DAY_S


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"garbage", "no .BEGIN CERTIFICATE. block"),
        (GOOD.der, "DER, expected PEM"),
        (GOOD.key_pem, "it holds a private key and no certificate"),
        (GOOD.pem[:200], "cut off"),
        (GOOD.pem[:200] + b"\n-----END CERTIFICATE-----", "not base64"),
        (pem_of(b""), "is empty"),
        (pem_of(GOOD.der + b"\0"), "more than a certificate"),
        (pem_of(b"\x30\x80" + GOOD.der[4:]), "length that is not DER"),
        (pem_of(GOOD.der[:300]), "cut off"),
    ],
)
def test_says_why_a_file_is_no_certificate(content: bytes, said: str) -> None:
    with pytest.raises(match=said):
        validity_of_pem(content)


@pytest.mark.parametrize(
    "wrong",
    [b"251325120000Z", b"250230120000Z", b"250229120000Z", b"250101240000Z", b"250101126000Z", b"2501011200 1Z",
     b"25010112000+Z", b"250101120000+", b"2501011_0000Z", b"250001120000Z"],
)  # fmt: skip
def test_refuses_times_that_do_not_exist(wrong: bytes) -> None:
    right = (datetime.fromtimestamp(NOW_S, UTC) - timedelta(days=1)).strftime("%y%m%d%H%M%SZ").encode()
    assert GOOD.der.count(right) == 1
    with pytest.raises(PemError):
        validity_of_pem(pem_of(GOOD.der.replace(right, wrong)))


@pytest.mark.parametrize("make_path", [lambda p: p, lambda p: p / "missing"])
def test_tells_a_file_that_cannot_be_read_from_a_bad_one(tmp_path: Path, make_path: Any) -> None:
    with pytest.raises(OSError, match=r"Is a directory|No such file"):
        read_validity(str(make_path(tmp_path)))


@given(st.binary(max_size=400))
def test_garbage_is_unreadable_and_nothing_else(garbage: bytes) -> None:
    for content in (garbage, pem_of(garbage)):
        with pytest.raises(PemError):
            validity_of_pem(content)


@given(st.integers(0, len(GOOD.der) - 1), st.integers(0, 255), st.integers(0, len(GOOD.der)))
def test_agrees_with_cryptography_on_spoilt_certificates(at: int, octet: int, length: int) -> None:
    spoilt = GOOD.der[:at] + bytes([octet]) + GOOD.der[at + 1 :]
    for der in (spoilt, GOOD.der[:length]):
        try:
            read = validity_of_pem(pem_of(der))
        except PemError:
            continue
        try:
            parsed = x509.load_der_x509_certificate(der)
            with warnings.catch_warnings(action="ignore"):
                known = parsed.not_valid_after
        except Exception:  # noqa: BLE001, S112 (whatever it finds wrong beyond the dates, which are all we read)
            continue
        assert read.not_after_s == known.replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now_s", "state", "text"),
    [
        (999, "NOT VALID YET", "NOT VALID YET (will be in: 1s)"),
        (1000, "VALID", "VALID (expires in: 1h)"),
        (4539, "VALID", "VALID (expires in: 1m 1s)"),
        (4540, "EXPIRES SOON", "EXPIRES SOON (expires in: 1m)"),
        (4600, "EXPIRES SOON", "EXPIRES SOON (expires in: 0s)"),
        (4600.5, "EXPIRED", "EXPIRED (since: 0s)"),
        (4701, "EXPIRED", "EXPIRED (since: 1m 41s)"),
    ],
)
def test_states_at_their_bounds(now_s: float, state: str, text: str) -> None:
    period = Validity(1000, 4600)
    assert (period.state(now_s, 60), period.describe(now_s, 60)) == (state, text)


@pytest.mark.parametrize(
    ("seconds", "units", "text"),
    [(0, 5, "0s"), (31_536_000 * 2, 5, "2y"), (364 * DAY_S + 31_363, 5, "364d 8h 42m 43s"), (90_061, 2, "1d 1h"),
     (31_536_029, 5, "1y 29s"), (86_401, 1, "1d")],
)  # fmt: skip
def test_durations_leave_out_what_is_zero(seconds: int, units: int, text: str) -> None:
    assert format_duration(seconds, units) == text
