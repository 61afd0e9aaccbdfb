# SPDX-License-Identifier: Apache-2.0
"""When a server wants to be asked again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tedge_cert.net.retry_after import retry_after_s
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
