# SPDX-License-Identifier: Apache-2.0
"""What thin-edge's own `tedge` answered, as recorded in the file that $TEDGE_TRANSCRIPTS names."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# A number of whole days is a second away from a day less.
_WHOLE_DAYS = re.compile(r"(?<=: )((?:\d+y )?)(\d+)d(?=\))")
_VARIABLE = (
    # Of the time that is left only years and days are the same in every run.
    (re.compile(r"(?<=: )((?:\d+[yd] ?)*)(?:\d+[hms] ?)+(?=\))"), r"\1…"),
    (re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000"), "<date>"),
    (re.compile(r"\d{10,} \(0x[0-9a-f]+\)"), "<serial>"),
    (re.compile(r"\b[0-9A-F]{40}\b"), "<thumbprint>"),
    # OpenSSL 3.2 and later write names without blanks.
    (re.compile(r"(?<=\w) = (?=\w)"), "="),
    (re.compile(r"one-time-password=\w+"), "one-time-password=<password>"),
)


@dataclass(frozen=True)
class Case:
    """One command, with those that went before it on a fresh device."""

    setup: tuple[str, ...]
    command: str
    exit: int
    stdout: str

    def __str__(self) -> str:
        return " ; ".join([*self.setup[-2:], self.command])


@dataclass(frozen=True)
class Difference:
    """Which cases differ, and why: the row of the manual's list of differences, or what we do not have."""

    command: str
    reason: str
    after: str = ""
    """The words that the last command before begins with, where the command alone does not tell."""

    def covers(self, case: Case) -> bool:
        """Whether this is about that case."""
        last = case.setup[-1] if case.setup else ""
        return case.command == self.command and last.startswith(self.after)


def path() -> Path | None:
    """Return where the recording is; None if it is not set."""
    name = os.environ.get("TEDGE_TRANSCRIPTS")
    return Path(name) if name else None


def cases(file: Path) -> list[Case]:
    """Everything that was recorded."""
    found = json.loads(file.read_text(encoding="utf-8"))
    return [Case(tuple(each["setup"]), each["command"], each["exit"], each["stdout"]) for each in found]


def comparable(text: str) -> str:
    """An output without what is different in every run."""
    text = _WHOLE_DAYS.sub(lambda found: f"{found[1]}{int(found[2]) - 1}d …", text)
    for pattern, instead in _VARIABLE:
        text = pattern.sub(instead, text)
    return text


def verdict(case: Case, exit_code: int, stdout: str, known: Sequence[Difference]) -> str:
    """What is wrong with an answer, if anything: a difference must be known, and a known one must be there."""
    said, wanted = comparable(stdout), comparable(case.stdout)
    reason = next((each.reason for each in known if each.covers(case)), "")
    if (exit_code, said) == (case.exit, wanted):
        return f"{case}\n  is as recorded now; take it off the list ({reason})" if reason else ""
    if reason:
        return ""
    shown = "" if said == wanted else f"\n  printed  {said!r}\n  expected {wanted!r}"
    return f"{case}\n  exit {exit_code}, expected {case.exit}{shown}"
