# SPDX-License-Identifier: Apache-2.0
"""Count cases of a row, lost devices and tracebacks in the tests of faults, and make the table.

A test says its row by `pytest.mark.row("Killed anywhere")` and counts by the fixture `matrix`; one that does not
count is one case. The counts travel with the report of the test, so any number of workers may run them.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

TRACEBACK = "Traceback (most recent call last)"
_PROPERTY = "faults"


class LostDeviceError(AssertionError):
    """After the fault, and the next run, the device could not connect or was not told what to do."""


class TracebackError(AssertionError):
    """A program showed a traceback."""


@dataclass
class Tally:
    """What was counted for a row."""

    cases: int = 0
    failed: int = 0
    lost: int = 0
    tracebacks: int = 0

    def add(self, other: "Tally") -> None:
        """Count what another one counted too."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


class Matrix:
    """What one test counts for its row."""

    def __init__(self, whole: bool) -> None:
        # Whether every case is to be tried, or those few that fit into `make test`.
        self.whole = whole
        self.tally = Tally()

    @contextmanager
    def case(self, name: str) -> Iterator[None]:
        """Count one case; whatever goes wrong in it carries its name."""
        self.tally.cases += 1
        try:
            yield
        except AssertionError as error:
            error.add_note(f"case: {name}")
            raise

    def said(self, text: str) -> str:
        """What a program printed, known to hold no traceback."""
        if TRACEBACK in text:
            raise TracebackError(text)
        return text

    def count_failure(self, error: BaseException) -> None:
        """Count the failure that ended the test."""
        self.tally.failed += 1
        self.tally.lost += isinstance(error, LostDeviceError)
        self.tally.tracebacks += isinstance(error, TracebackError)


def to_property(row: str, tally: Tally) -> tuple[str, object]:
    """What a report of a test carries."""
    return _PROPERTY, [row, *(getattr(tally, each.name) for each in fields(tally))]


def rows_of(properties: Iterable[tuple[str, object]]) -> dict[str, Tally]:
    """The rows in what reports carry, in the order of their names."""
    rows: dict[str, Tally] = {}
    for name, found in properties:
        if name == _PROPERTY and isinstance(found, list):
            row, *counts = found
            rows.setdefault(row, Tally()).add(Tally(*counts))
    return dict(sorted(rows.items()))


def table(rows: dict[str, Tally]) -> str:
    """The rows as a table of Markdown, with the sum below."""
    total = Tally()
    for tally in rows.values():
        total.add(tally)
    lines = [
        "| row | cases | cases failed | lost devices | tracebacks |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(_line(row, tally) for row, tally in rows.items()),
        _line("**all**", total),
    ]
    return "\n".join(lines) + "\n"


def _line(name: str, tally: Tally) -> str:
    return f"| {name} | {tally.cases} | {tally.failed} | {tally.lost} | {tally.tracebacks} |"
