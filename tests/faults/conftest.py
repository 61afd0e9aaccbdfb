# SPDX-License-Identifier: Apache-2.0
"""The options of the tests of faults, what they count, and the table at the end of a run."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from faults.record import Matrix, Tally, rows_of, table, to_property
from system.conftest import is_repeat

_MATRIX = pytest.StashKey[Matrix]()

HEAD = """\
# What happens in the field, tried

Written by `make test-faults` on {date}: how often each kind of fault was tried during a renewal, and how many devices
were lost. A device is lost if, after the fault and the next run of the timer, it has no key and certificate that the
tenant accepts, or is not connected, and no message said what a person must do.

The row *User tedge against root* counts no renewals. User tedge leads root astray by one thing at a time: a setting
that is a path (to a file of root's, by itself, a link, a mount, a directory; a pipe; a file without end), a setting
that names a host, or a file in tedge's directories (as a link, a pipe, a hard link, a directory). Beside each of them
root runs every executable of the package, `systemd-tmpfiles`, the units of renewal and registration, and the maintainer
scripts of an upgrade. Each of these commands is a case, on one release. It fails if root read, wrote, gave away or
started what is not for tedge, or if a secret arrived at a listener of tedge's. Attacks that were proved once, and the
scripts of a removal and a purge, are cases too.

"""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    parser.addoption("--whole", action="store_true", help="try every case, not only those that fit into `make test`")
    parser.addoption("--table", metavar="FILE", help="write the table of rows to this file, with the date")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known."""
    config.addinivalue_line("markers", "row(name): the row of the table that the test belongs to")
    config.addinivalue_line("markers", "whole: too long for `make test`; runs with --whole")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only the whole has."""
    whole = config.getoption("--whole")
    left_out = [each for each in items if not whole and (each.get_closest_marker("whole") or is_repeat(each))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [each for each in items if each not in left_out]


@pytest.fixture(autouse=True)
def matrix(request: pytest.FixtureRequest) -> Matrix:
    """What the test counts; a test that counts nothing is one case."""
    made = Matrix(bool(request.config.getoption("--whole")))
    request.node.stash[_MATRIX] = made
    return made


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]") -> Iterator[None]:
    """Let the report of the test carry what it counted."""
    mark, counted = item.get_closest_marker("row"), item.stash.get(_MATRIX, None)
    skipped = call.excinfo is not None and call.excinfo.errisinstance(pytest.skip.Exception)
    if call.when == "call" and mark is not None and counted is not None and not skipped:
        counted.tally.cases = max(1, counted.tally.cases)
        if call.excinfo is not None:
            counted.count_failure(call.excinfo.value)
        item.user_properties.append(to_property(mark.args[0], counted.tally))
    yield


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table, and write it where that was asked for."""
    reports = [each for kind in ("passed", "failed") for each in terminalreporter.stats.get(kind, [])]
    calls = [each for each in reports if getattr(each, "when", "") == "call"]
    rows: dict[str, Tally] = rows_of(each for report in calls for each in report.user_properties)
    if not rows:
        return
    terminalreporter.section("faults")
    terminalreporter.write(table(rows))
    if path := config.getoption("--table"):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text(HEAD.format(date=datetime.now(UTC).date()) + table(rows), encoding="utf-8")
