# SPDX-License-Identifier: Apache-2.0
"""The comparison of recorded answers: varying parts are left out, known differences must differ."""

import pytest

from system.transcripts import Case, Difference, comparable, verdict

CASE = Case(("tedge one", "tedge two --now"), "tedge three", 1, "so\n")


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("(expires in: 363d 23h 59m 59s)", "(expires in: 363d 23h 59m 8s)", True),
        ("(expires in: 363d 23h 59m 59s)", "(expires in: 364d 1s)", False),
        ("(expires in: 1y 29s)", "(expires in: 1y 1m)", True),
        ("(since: 59s)", "(since: 1m)", True),
        ("VALID (expires in: 9d 1h)", "EXPIRES SOON (expires in: 9d 1h)", False),
        ("Mon, 22 Nov 2027 08:53:14 +0000", "Tue, 01 Feb 2028 00:00:00 +0000", True),
        ("Serial number: 12345678901 (0x2dfdc1c35)", "Serial number: 99999999999 (0x174876e7ff)", True),
        ("Serial number: 4660 (0x1234)", "Serial number: 4661 (0x1235)", False),
        ("0" * 40, "A" * 40, True),
        ("subject=CN = x, O = y", "subject=CN=x, O=y", True),
        ("key=value", "key=other", False),
    ],
)
def test_what_varies_is_left_out(one: str, other: str, alike: bool) -> None:
    assert (comparable(one) == comparable(other)) is alike


@pytest.mark.parametrize(
    ("exit_code", "stdout", "known", "said"),
    [
        (1, "so\n", [], ""),
        (2, "so\n", [], "exit 2, expected 1"),
        (1, "else\n", [], "printed  'else\\n'"),
        (1, "else\n", [Difference("tedge three", "why")], ""),
        (1, "else\n", [Difference("tedge three", "why", "tedge two")], ""),
        (1, "else\n", [Difference("tedge three", "why", "tedge one")], "expected 'so\\n'"),
        (1, "else\n", [Difference("tedge thre", "why")], "expected 'so\\n'"),
        (1, "so\n", [Difference("tedge three", "why")], "take it off the list (why)"),
    ],
)
def test_a_difference_is_known_and_there_or_neither(
    exit_code: int, stdout: str, known: list[Difference], said: str
) -> None:
    found = verdict(CASE, exit_code, stdout, known)
    assert said in found
    assert bool(found) is bool(said)
