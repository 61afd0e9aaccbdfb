# SPDX-License-Identifier: Apache-2.0
"""When a server wants to be asked again, and what is said of a clock that is not that of the server."""

import time
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tedge_cert.net.https import ask, refusal
from tedge_cert.net.retry_after import compare_clock, retry_after_s, seconds_of
from unit.answering import answering
from unit.certificates import NOW, NOW_S


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0),
        (" 120 ", 120),
        ("Mon, 23 Nov 2026 12:01:00 GMT", 60),
        ("Mon, 23 Nov 2026 12:01:00 -0000", 60),
        ("Mon, 23 Nov 2026 13:01:00 +0100", 60),
        ("Monday, 23-Nov-26 12:01:00 GMT", 60),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("9" * 5000, 1_000_000_000),
    ],
)
def test_reads_when_to_ask_again(value: str | None, seconds: int | None) -> None:
    assert NOW.timestamp() == NOW_S
    assert retry_after_s(value, NOW_S) == seconds


@given(
    st.one_of(
        st.text(max_size=40),
        st.from_regex(r"\A[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} [-+A-Z0-9]{3,5}\Z"),
    )
)
def test_any_text_says_when_or_nothing(value: str) -> None:
    assert (retry_after_s(value, NOW_S) or 0) >= 0


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
    compare_clock("t.example", formatdate(time.time() - ahead_s, usegmt=True))
    line = capsys.readouterr().err
    assert (said in line, line.count("\n")) == (True, 1 if said else 0)


@pytest.mark.parametrize("date", [None, "", "soon", "Mon, 99 Nov 2026 12:01:00 GMT"])
def test_a_date_that_is_none_says_nothing(date: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert seconds_of(date) is None
    compare_clock("t.example", date)
    assert capsys.readouterr().err == ""


def test_an_answer_tells_the_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And a date to ask again is measured by the clock that it was written by."""
    then_s = time.time() + 86_400
    date, later = formatdate(then_s, usegmt=True), formatdate(then_s + 600, usegmt=True)
    head = f"HTTP/1.1 503 Busy\r\nDate: {date}\r\nRetry-After: {later}\r\nContent-Length: 0\r\n\r\n"
    with answering(tmp_path, head.encode()) as server:
        answer = ask("GET", f"https://localhost:{server.port}/", server.trust, {})
    assert f"behind that of localhost:{server.port};" in capsys.readouterr().err
    assert refusal(answer, {}).retry_after_s == 600
