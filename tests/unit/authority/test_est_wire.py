# SPDX-License-Identifier: Apache-2.0
"""The error for an EST answer without a certificate."""

import base64
from pathlib import Path

import pytest

from tedge_cert.authority.est_wire import certificates_in
from tedge_cert.errors import RequestRefusedError
from tedge_cert.net.anchors import Trust
from tedge_cert.net.https import LIMIT_BYTES, HttpAnswer
from tedge_cert.net.server import Server
from tenant.pkcs7 import certs_only
from unit.certificates import make

SERVER = Server("ca.example:8443", Trust(Path("/anchors.pem"), "x.trust"), "x.url")
URL = SERVER.url_of("/.well-known/est/simpleenroll")
CA = make("a CA")
LEAF = make(issuer=CA)
DER = certs_only([LEAF.der, CA.der], indefinite=False)


def answer(body: bytes, status: int = 200) -> HttpAnswer:
    return HttpAnswer(SERVER, URL, status, "", {}, body)


ENCRYPTED = bytes.fromhex("300f06092a864886f70d010706a0023000")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "answered with an empty body, expected a certificate"),
        (b" \r\n\0", "that is no certificate|empty body"),
        (b"x" * (LIMIT_BYTES + 1), "answered more than 1048576 bytes"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "no certificate .*; it begins '<!DOCTYPE html>"),
        (b'{"error": "no"}', "it begins '{"),
        (b"\x00\xff garbage \xfe" * 20, "that is no certificate"),
        (base64.b64encode(DER)[:-9], "that is no certificate"),
        (base64.b64encode(DER[:400]), "that is no certificate"),
        (DER[:400], "that is no certificate"),
        (LEAF.pem[:200], "that is no certificate"),
        (base64.b64encode(b"hello, world"), "that is no certificate"),
        (LEAF.key_pem, "that is no certificate"),
        (base64.b64encode(ENCRYPTED), "that is no certificate"),
        (certs_only([], indefinite=False), "a PKCS#7 message that holds no certificate"),
        (certs_only([], indefinite=True), "a PKCS#7 message that holds no certificate"),
        (certs_only([b"\x30\x03\x02\x01\x00"], indefinite=False), "that is no certificate"),
        (b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "that is no certificate"),
    ],
)
def test_says_what_came_instead(body: bytes, said: str) -> None:
    with pytest.raises(RequestRefusedError, match=said) as raised:
        certificates_in(answer(body), {})
    assert str(raised.value).startswith(URL)
    assert str(raised.value).endswith(SERVER.elsewhere)
    assert len(str(raised.value)) < 600
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("status", [200, 201])
def test_certificates_come_in_their_order(status: int) -> None:
    assert certificates_in(answer(DER, status), {}) == [LEAF.certificate, CA.certificate]


def test_a_refusal_is_worded_by_the_advice() -> None:
    with pytest.raises(RequestRefusedError, match="answered 403: no; ask the operator") as raised:
        certificates_in(answer(b"no", 403), {403: "ask the operator"})
    assert raised.value.status == 403
    with pytest.raises(RequestRefusedError, match=r"check that x\.url names the right server"):
        certificates_in(answer(b"no", 418), {403: "ask the operator"})
