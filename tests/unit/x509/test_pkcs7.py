# SPDX-License-Identifier: Apache-2.0
"""Bodies of EST answers: captured from real servers, made by hand, spoilt."""

import base64
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from tedge_cert.x509.certificate import Certificate
from tedge_cert.x509.pkcs7 import certificates_of
from tenant.pkcs7 import certs_only
from unit.certificates import make

DATA = Path(__file__).parents[1] / "data" / "est"
CA = make("a CA")
LEAF = make(issuer=CA)
BOTH = [LEAF.certificate, CA.certificate]
DER, BER = (certs_only([LEAF.der, CA.der], indefinite=each) for each in (False, True))


def names(found: list[x509.Certificate]) -> list[str]:
    return [Certificate(each).validity.device_id for each in found]


@pytest.mark.parametrize(
    ("file", "common_names"),
    [
        ("cumulocity-ber-indefinite.body", ["didier-device-001"]),
        ("gs-simpleenroll-b64.body", ["device-0001"]),
        ("gs-cacerts-2certs-chunked.body", ["GS Issuing", "GS Root"]),
        ("libest-simplereenroll-tlscert.body", ["device-0001"]),
        ("libest-cacerts-2certs.body", ["estEXTERNALCA", "estExampleCA"]),
    ],
)
def test_reads_what_real_servers_answer(file: str, common_names: list[str]) -> None:
    assert names(certificates_of((DATA / file).read_bytes())) == common_names


def armoured(label: bytes, der: bytes) -> bytes:
    return b"-----BEGIN " + label + b"-----\n" + base64.encodebytes(der) + b"-----END " + label + b"-----\n"


@pytest.mark.parametrize("message", [DER, BER])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize("columns", [64, 76, 1, 10_000])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n\r\n", b"\0"])
def test_reads_base64_of_any_shape(message: bytes, newline: bytes, columns: int, end: bytes) -> None:
    text = base64.b64encode(message)
    body = newline.join(text[at : at + columns] for at in range(0, len(text), columns))
    assert certificates_of(body + end) == BOTH


@pytest.mark.parametrize(
    "body",
    [
        DER,
        BER,
        armoured(b"PKCS7", BER),
        armoured(b"CMS", DER),
        armoured(b"CERTIFICATE", DER),
        LEAF.pem + CA.pem,
        b"subject=CN=device\n" + LEAF.pem.replace(b"\n", b"\r\n") + CA.pem,
        armoured(b"X509 CERTIFICATE", LEAF.der) + armoured(b"TRUSTED CERTIFICATE", CA.der),
        armoured(b"PKCS7", certs_only([LEAF.der], indefinite=True)) + CA.pem,
    ],
)
def test_believes_the_bytes(body: bytes) -> None:
    assert certificates_of(body) == BOTH


@pytest.mark.parametrize("body", [LEAF.der, base64.b64encode(LEAF.der)])
def test_reads_a_certificate_without_a_message_around_it(body: bytes) -> None:
    assert certificates_of(body) == [LEAF.certificate]


BODIES = [each.read_bytes() for each in sorted(DATA.iterdir())] + [DER, BER, LEAF.pem]
RAW = [base64.b64decode(each) for each in BODIES[:5]] + [DER, BER, LEAF.der]


def outcome(body: bytes) -> None:
    try:
        found = certificates_of(body)
    except ValueError:
        return
    for each in found:
        assert Certificate(each).describe(Path("/c.pem"), 0)


@given(st.sampled_from(BODIES), st.data())
def test_a_spoilt_body_is_read_or_refused(body: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body)))
    length = data.draw(st.integers(0, 4))
    outcome(body[:at] + data.draw(st.binary(max_size=4)) + body[at + length :])
    outcome(body[:at])


@given(st.sampled_from(RAW), st.data())
def test_a_spoilt_message_is_read_or_refused(message: bytes, data: st.DataObject) -> None:
    spoilt = bytearray(message)
    for _ in range(data.draw(st.integers(1, 3))):
        spoilt[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    outcome(bytes(spoilt))


@given(st.binary(max_size=200))
def test_garbage_is_refused(garbage: bytes) -> None:
    for body in (garbage, base64.b64encode(garbage), armoured(b"PKCS7", garbage)):
        with pytest.raises(ValueError):  # noqa: PT011 (any text will do)
            certificates_of(body)


@pytest.mark.parametrize("opening", [b"\x30\x80", b"\xa0\x80", b"\x24\x80"])
def test_a_message_in_thousands_of_others_is_refused(opening: bytes) -> None:
    inner = bytes.fromhex("3080 06092a864886f70d010702 a080") + opening * 30_000
    for body in (inner, base64.b64encode(inner)):
        with pytest.raises(ValueError, match=r"limit exceeded|not ASN"):
            certificates_of(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (bytes.fromhex("300b 06092a864886f70d010702"), "malformed"),
        (bytes.fromhex("300f 06092a864886f70d010701 a0020400"), "not of certificates"),
        (b"<p>" + base64.b64encode(DER), "base64"),
    ],
    ids=["without content", "of data", "text around it"],
)
def test_what_is_no_message_of_certificates_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        certificates_of(body)
