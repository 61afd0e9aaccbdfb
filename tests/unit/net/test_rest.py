# SPDX-License-Identifier: Apache-2.0
"""One request with a token: to the tenant alone, as it was meant, and a whole answer or none."""

import time
from pathlib import Path

import pytest

from tedge_cert.errors import NoAnswerError, TedgeCertError
from tedge_cert.tenant import rest
from tedge_cert.tenant.rest import Request, send
from unit.answering import Server, answering

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\x00\xff\n"


def ask(server: Server, request: Request, token: str = "a.b.c", timeout_s: float = 10) -> tuple[int, bytes]:
    answer = send(f"localhost:{server.port}", request, token, server.trust, timeout_s)
    with answer.body as body:
        return answer.status, body.read()


def test_what_goes_out_and_what_comes_back(tmp_path: Path) -> None:
    with answering(tmp_path, OK) as server:
        assert ask(server, Request("GET", "/a%20b/ü?x=%2F&y=1", accept="text/csv")) == (200, b"\x00\xff\n")
    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    # Whatever is encoded stays so, and the letter that has to be is.
    assert lines[0] == "GET /a%20b/%C3%BC?x=%2F&y=1 HTTP/1.1"
    assert "Authorization: Bearer a.b.c" in lines
    assert "Accept: text/csv" in lines
    assert "Accept-Encoding: identity" in lines
    assert body == b""


@pytest.mark.parametrize("as_file", [True, False])
def test_a_body_goes_out_with_its_length(tmp_path: Path, as_file: bool) -> None:
    content = bytes(range(256)) * 400
    (tmp_path / "file").write_bytes(content)
    with answering(tmp_path, OK) as server:
        ask(server, Request("PUT", "/x", tmp_path / "file" if as_file else content, "text/plain"))
    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    assert body == content
    assert f"Content-Length: {len(content)}" in head.decode().split("\r\n")
    assert "Content-Type: text/plain" in head.decode().split("\r\n")


def test_no_environment_and_no_redirect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine localhost login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "netrc"))
    elsewhere = b"HTTP/1.1 307 Gone\r\nLocation: https://localhost:9/other\r\nContent-Length: 0\r\n\r\n"
    with answering(tmp_path, elsewhere) as server:
        answer = send(f"localhost:{server.port}", Request("GET", "/x"), "t", server.trust, 10)
    assert (answer.status, answer.location) == (307, "https://localhost:9/other")
    assert len(server.asked) == 1
    assert b"Bearer t\r\n" in server.asked[0]


def test_a_large_answer_is_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * (3 * rest.IN_MEMORY_BYTES // 256)
    with answering(tmp_path, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)) as server:
        assert ask(server, Request("GET", "/x")) == (200, content)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "no answer from https://localhost:"),
        (b"", "no answer from https://localhost:"),
        (b"garbage\r\n\r\n", "no answer from https://localhost:"),
    ],
)
def test_half_an_answer_is_none(tmp_path: Path, answer: bytes, said: str) -> None:
    with answering(tmp_path, answer) as server, pytest.raises(NoAnswerError, match=said):
        ask(server, Request("GET", "/x"))


def test_one_that_nobody_vouches_for_is_told_nothing(tmp_path: Path) -> None:
    with (
        answering(tmp_path, OK, name="other.example") as server,
        pytest.raises(NoAnswerError, match="is for another name"),
    ):
        ask(server, Request("GET", "/x"))
    assert server.asked == []


@pytest.mark.usefixtures("_no_alarm")
def test_one_deadline_for_all(tmp_path: Path) -> None:
    began_s = time.monotonic()
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n"
    with answering(tmp_path, endless + b"x" * 100) as server, pytest.raises(NoAnswerError):
        ask(server, Request("GET", "/x"), timeout_s=0.0)
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize("token", ["a b", "a\r\nX: y", "ä"])
def test_a_malformed_token_is_not_printed(tmp_path: Path, token: str) -> None:
    with answering(tmp_path, OK) as server, pytest.raises(TedgeCertError) as error:
        ask(server, Request("GET", "/x"), token)
    assert token not in str(error.value)
    assert server.asked == []
