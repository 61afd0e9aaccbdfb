# SPDX-License-Identifier: Apache-2.0
"""The table counts cases, lost devices and tracebacks."""

import pytest

from faults.record import LostDeviceError, Matrix, Tally, TracebackError, rows_of, table, to_property


def test_counts_add_up_over_tests() -> None:
    found = [
        to_property("Disk", Tally(3, 1, 1, 0)),
        ("other", 1),
        to_property("A", Tally(1)),
        to_property("Disk", Tally(2)),
    ]
    rows = rows_of(found)
    assert rows == {"A": Tally(1), "Disk": Tally(5, 1, 1, 0)}
    assert table(rows).splitlines()[2:] == [
        "| A | 1 | 0 | 0 | 0 |",
        "| Disk | 5 | 1 | 1 | 0 |",
        "| **all** | 6 | 1 | 1 | 0 |",
    ]


def test_a_failure_is_recorded_by_its_kind() -> None:
    matrix = Matrix(whole=False)
    with pytest.raises(LostDeviceError) as lost, matrix.case("first"):
        raise LostDeviceError("no pair")
    assert lost.value.__notes__ == ["case: first"]
    matrix.count_failure(lost.value)
    assert matrix.said("a line") == "a line"
    with pytest.raises(TracebackError) as shown, matrix.case("second"):
        matrix.said("Traceback (most recent call last):\n")
    matrix.count_failure(shown.value)
    assert matrix.tally == Tally(2, 2, 1, 1)
