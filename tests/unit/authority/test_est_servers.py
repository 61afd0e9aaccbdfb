# SPDX-License-Identifier: Apache-2.0
"""EST requests to servers other than the tenant, some of them broken."""

import gzip
import socket
from pathlib import Path

import pytest

from tedge_cert.authority import cumulocity
from tedge_cert.errors import ConfigurationError, NoAnswerError, RequestRefusedError, TedgeCertError
from tedge_cert.net import https
from tedge_cert.net.anchors import Trust
from tedge_cert.net.server import Server as HttpsServer
from tenant.ports import free_port
from unit.answering import ROOTS, answering, server_at
from unit.certificates import make

pytestmark = pytest.mark.usefixtures("_no_alarm")
MADE = make()
REQUEST = bytes(range(256)) * 2


def answer(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


def enrol(server: HttpsServer) -> None:
    assert cumulocity.enrol(server, "device-1", "one-time-password", REQUEST) == [MADE.certificate]


def test_the_request_is_what_the_standard_asks_for(tmp_path: Path) -> None:
    with answering(tmp_path, answer(MADE.pem)) as server:
        enrol(server.by_https)
        assert cumulocity.reenrol(server.by_https, lambda _: "a.b.c", REQUEST)
    first, second = (each.partition(b"\r\n\r\n") for each in server.asked)
    assert first[0].startswith(b"POST /.well-known/est/simpleenroll HTTP/1.1\r\n")
    assert second[0].startswith(b"POST /.well-known/est/simplereenroll HTTP/1.1\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(b": ") for line in first[0].split(b"\r\n")[1:])}
    assert fields[b"authorization"] == b"Basic ZGV2aWNlLTE6b25lLXRpbWUtcGFzc3dvcmQ="
    assert fields[b"content-type"] == b"application/pkcs10"
    assert fields[b"content-transfer-encoding"] == b"base64"
    assert int(fields[b"content-length"]) == len(first[2])
    assert b"\r\nAuthorization: Bearer a.b.c\r\n" in second[0] + b"\r\n"
    lines = first[2].split(b"\n")
    assert [len(line) for line in lines] == [64] * 10 + [44, 0]
    assert second[2] == first[2]


def test_an_umlaut_in_a_password_arrives(tmp_path: Path) -> None:
    with answering(tmp_path, answer(MADE.pem)) as server:
        cumulocity.enrol(server.by_https, "d", "a\u00e4", REQUEST)
    assert server.asked


def test_a_mebibyte_that_unpacks_to_a_thousand_is_not_unpacked(tmp_path: Path) -> None:
    packed = gzip.compress(MADE.pem + b"\n" * (64 << 20))
    packing = answering(tmp_path, answer(packed, "Content-Encoding: gzip"))
    with packing as server, pytest.raises(RequestRefusedError, match="answered"):
        enrol(server.by_https)
    assert b"Accept-Encoding: identity" in server.asked[0]


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + MADE.pem,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n" + MADE.pem,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n" + MADE.pem,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n" + MADE.pem,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (1 << 17) + b"\r\n\r\n",
    ],
)
def test_answers_that_are_no_http(tmp_path: Path, sent: bytes) -> None:
    with (
        answering(tmp_path, sent) as server,
        pytest.raises(NoAnswerError, match=f"no answer from https://localhost:{server.port}"),
    ):
        enrol(server.by_https)


def test_a_chunked_answer(tmp_path: Path) -> None:
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(MADE.pem), MADE.pem)
    with answering(tmp_path, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body) as server:
        enrol(server.by_https)


def test_a_server_of_another_name_is_not_trusted(tmp_path: Path) -> None:
    with (
        answering(tmp_path, answer(MADE.pem), name="other.example") as server,
        pytest.raises(NoAnswerError, match=r"cannot speak TLS with .*localhost.* is for another name"),
    ):
        enrol(server.by_https)
    assert server.asked == []


@pytest.mark.parametrize("anchors", ["others", "empty directory", "garbage"])
def test_a_server_that_nobody_vouches_for_is_not_trusted(tmp_path: Path, anchors: str) -> None:
    trust = tmp_path / "trust"
    if anchors == "empty directory":
        trust.mkdir()
    else:
        trust.write_bytes(make("another CA").pem if anchors == "others" else b"garbage")
    untrusted = pytest.raises(TedgeCertError, match=rf"c8y.root_cert_path.*{trust}|{trust} \(c8y.root_cert_path\)")
    with answering(tmp_path, answer(MADE.pem)) as server, untrusted:
        enrol(server_at(server.port, trust))
    assert server.asked == []


def test_a_server_without_tls(tmp_path: Path) -> None:
    plain = answering(tmp_path, answer(MADE.pem), encrypted=False)
    with plain as server, pytest.raises(NoAnswerError, match=r"SSL|TLS"):
        enrol(server.by_https)
    assert all(b"one-time-password" not in each and b"Basic" not in each for each in server.asked)


def test_a_server_that_refuses(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(make("a CA").pem)
    with pytest.raises(NoAnswerError, match=r"Connection refused; check the network and c8y.http"):
        enrol(server_at(free_port(), tmp_path / "root.pem"))


def test_a_server_with_an_unknown_name(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(make("a CA").pem)
    with pytest.raises(
        NoAnswerError, match=r"no answer from https://nowhere.invalid/.*; check the network and c8y.http"
    ):
        enrol(HttpsServer("nowhere.invalid", Trust(tmp_path / "root.pem", ROOTS), "c8y.http"))


def test_a_server_that_accepts_and_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "CONNECT_S", 0.2)
    monkeypatch.setattr(https, "READ_S", 0.2)
    (tmp_path / "root.pem").write_bytes(make("a CA").pem)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NoAnswerError, match="nothing came in time"):
        enrol(server_at(silent.getsockname()[1], tmp_path / "root.pem"))


def test_trust_anchors_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"no trust anchors at {tmp_path}/x \(c8y.root_cert_path"):
        enrol(server_at(free_port(), tmp_path / "x"))
