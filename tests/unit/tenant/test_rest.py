# SPDX-License-Identifier: Apache-2.0
"""One request with a token: only to the tenant, with the path as given, and a whole answer or none."""

import time
from pathlib import Path

import pytest

from tedge_cert import VERSION
from tedge_cert.config.credentials import Credentials
from tedge_cert.errors import NoAnswerError, RequestRefusedError, TedgeCertError
from tedge_cert.net.https import CHUNK_BYTES, LIMIT_BYTES, Limits, Request
from tedge_cert.tenant import rest
from unit.answering import Server, answering

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\x00\xff\n"


def ask(server: Server, request: Request, token: str = "a.b.c", timeout_s: float = 10) -> tuple[int, bytes]:
    """Ask as `tedge http` does: the status, and what the sink got."""
    got: list[bytes] = []
    limits = Limits(5, 5, timeout_s, LIMIT_BYTES)
    answer = rest.as_device(server.by_https, request, lambda _: token, limits, got.append)
    return answer.status, b"".join(got) or answer.content


def test_what_goes_out_and_what_comes_back(tmp_path: Path) -> None:
    with answering(tmp_path, OK) as server:
        assert ask(server, Request("GET", "/a%20b/ü?x=%2F&y=1", {"Accept": "text/csv"})) == (200, b"\x00\xff\n")
    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    # Encoded characters stay so, and the letter that must be encoded is.
    assert lines[0] == "GET /a%20b/%C3%BC?x=%2F&y=1 HTTP/1.1"
    assert "Authorization: Bearer a.b.c" in lines
    assert "Accept: text/csv" in lines
    assert "Accept-Encoding: identity" in lines
    assert f"User-Agent: tedge-cert-renewer/{VERSION}" in lines
    assert body == b""


@pytest.mark.parametrize("as_file", [True, False])
def test_a_body_goes_out_with_its_length(tmp_path: Path, as_file: bool) -> None:
    content = bytes(range(256)) * 400
    (tmp_path / "file").write_bytes(content)
    with answering(tmp_path, OK) as server, (tmp_path / "file").open("rb") as file:
        ask(server, Request("PUT", "/x", {"Content-Type": "text/plain"}, file if as_file else content))
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
        answer = rest.as_device(server.by_https, Request("GET", "/x"), lambda _: "t")
    assert (answer.status, answer.headers["Location"]) == (307, "https://localhost:9/other")
    assert len(server.asked) == 1
    assert b"Bearer t\r\n" in server.asked[0]


def test_a_large_answer_is_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * (3 * CHUNK_BYTES // 256)
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


def test_an_untrusted_server_gets_no_token(tmp_path: Path) -> None:
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


def head(length: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length


@pytest.mark.parametrize("sent", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES])
def test_a_body_that_is_cut_off_is_an_error_and_a_short_one_is_not_begun(tmp_path: Path, sent: int) -> None:
    got: list[bytes] = []
    with answering(tmp_path, head(sent + 1) + b"x" * sent) as server, pytest.raises(NoAnswerError):
        rest.as_device(server.by_https, Request("GET", "/x"), lambda _: "t", sink=got.append)
    assert sum(map(len, got)) == (2 * CHUNK_BYTES if sent > CHUNK_BYTES else 0)


def test_a_body_is_passed_on_while_it_comes(tmp_path: Path) -> None:
    got: list[int] = []
    with answering(tmp_path, head(20 * CHUNK_BYTES) + bytes(20 * CHUNK_BYTES)) as server:
        limits = Limits(5, 5, 30, 20 * CHUNK_BYTES)
        rest.as_device(server.by_https, Request("GET", "/x"), lambda _: "t", limits, lambda each: got.append(len(each)))
    assert got == [CHUNK_BYTES] * 20


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_is_refused(tmp_path: Path, declared: bool) -> None:
    """At once where its length is declared."""
    size, got = 4 * CHUNK_BYTES, list[bytes]()
    begin = head(size) if declared else b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    limits = Limits(5, 5, 30, 2 * CHUNK_BYTES)
    with (
        answering(tmp_path, begin + bytes(size)) as server,
        pytest.raises(RequestRefusedError, match=f"answered more than {2 * CHUNK_BYTES} bytes"),
    ):
        rest.as_device(server.by_https, Request("GET", "/x"), lambda _: "t", limits, got.append)
    assert sum(map(len, got)) == (0 if declared else CHUNK_BYTES)


def test_what_the_sink_raises_is_not_blamed_on_the_server(tmp_path: Path) -> None:
    def gone(_: bytes) -> None:
        raise BrokenPipeError

    with answering(tmp_path, OK) as server, pytest.raises(BrokenPipeError):
        rest.as_device(server.by_https, Request("GET", "/x"), lambda _: "t", sink=gone)


def test_a_refused_token_is_replaced_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[bool] = []

    def get_credential(again: bool) -> str:
        asked.append(again)
        return "second" if again else "first"

    with answering(tmp_path, b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n") as server:
        assert rest.as_device(server.by_https, Request("GET", "/x"), get_credential).status == 401
    assert asked == [False, True]
    assert [b"Bearer first" in each for each in server.asked] == [True, False]
    assert "refused the token (401): asking again with a new one" in capsys.readouterr().err


def test_user_and_password_are_not_asked_twice(tmp_path: Path) -> None:
    with answering(tmp_path, b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n") as server:
        answer = rest.as_device(server.by_https, Request("GET", "/x"), lambda _: Credentials("t/u", "p"))
    assert (answer.status, len(server.asked)) == (401, 1)
