# SPDX-License-Identifier: Apache-2.0
"""The warning about a clock that differs from the server's."""

import time
from email.utils import formatdate
from pathlib import Path

import pytest

from tedge_cert.net import https, server_clock
from tedge_cert.net.https import Request
from unit.answering import answering


@pytest.mark.parametrize(
    ("ahead_s", "said"),
    [
        (0, ""),
        (-290, ""),
        (290, ""),
        (7_300, "the clock of this device is 2h 1m ahead of that of t.example; certificates are judged by it"),
        (-90_100, "the clock of this device is 1d 1h behind that of t.example;"),
    ],
)
def test_clocks_are_compared(ahead_s: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    server_clock.compare("t.example", {"Date": formatdate(time.time() - ahead_s, usegmt=True)})
    line = capsys.readouterr().err
    assert (said in line, line.count("\n")) == (True, 1 if said else 0)


@pytest.mark.parametrize("headers", [{}, {"Date": ""}, {"Date": "soon"}, {"Date": "Mon, 99 Nov 2026 12:01:00 GMT"}])
def test_a_date_that_is_none_says_nothing(headers: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert server_clock.time_of(headers) is None
    server_clock.compare("t.example", headers)
    assert capsys.readouterr().err == ""


def test_an_answer_tells_the_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A date in Retry-After is measured by the server's clock, which wrote it."""
    then_s = time.time() + 86_400
    date, later = formatdate(then_s, usegmt=True), formatdate(then_s + 600, usegmt=True)
    head = f"HTTP/1.1 503 Busy\r\nDate: {date}\r\nRetry-After: {later}\r\nContent-Length: 0\r\n\r\n"
    with answering(tmp_path, head.encode()) as server:
        answer = https.ask(server.by_https, Request("GET", "/"))
    assert f"behind that of localhost:{server.port};" in capsys.readouterr().err
    assert https.refusal(answer, {}).retry_after_s == 600
