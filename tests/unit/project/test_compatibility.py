# SPDX-License-Identifier: Apache-2.0
"""Each row of docs/compatibility.md has its tests, or a difference that the manual explains; the count sums up."""

import re

import pytest

from unit.local_device import ROOT

COUNT, _, PAGE = (ROOT / "docs/compatibility.md").read_text().partition("\n## Command line\n")
ROWS = [
    cells
    for line in PAGE.splitlines()
    if line.startswith("| ") and len(cells := line.strip("| ").split(" | ")) == 4 and cells[0] not in ("kind", "---")
]
MANUAL = (ROOT / "debian/man/tedge-cert-renewer.7").read_text().partition(".Sh DIFFERENCES FROM THIN-EDGE.IO")[2]


def test_every_row_is_whole() -> None:
    tables = [line for line in PAGE.splitlines() if line.startswith("| ")]
    heads = 2 * PAGE.count("| kind |")
    assert len(ROWS) == len(tables) - heads
    assert len({kind for kind, *_ in ROWS}) == len(ROWS)


def test_the_count_sums_up() -> None:
    counted = re.findall(r"^\| (.+) \| (\d+) \| (\d+) \|$", COUNT, re.MULTILINE)
    proofs = {row[0]: row[3] for row in ROWS}
    for kind, _, differ in counted:
        assert ("manual: " in proofs[kind]) or not int(differ), kind
    passing, differing = (sum(int(row[column]) for row in counted) for column in (1, 2))
    # What passed at first, less the test that is refused since.
    first, refused, again = 335, 1, passing + differing
    said = " ".join(COUNT.split())
    assert f"{first + again} ask for something" in said
    assert f"{first} of them passed when" in said
    assert f"The other {again} have been replayed" in said
    assert f"{passing} of the {again} pass now. {differing} ask for" in said
    assert f"So of the {first + again}, {first - refused + passing} pass and {differing + refused} are rows" in said


@pytest.mark.parametrize("row", ROWS, ids=[kind for kind, *_ in ROWS])
def test_each_row_is_proved_or_explained(row: list[str]) -> None:
    shown = [*re.split("; ", row[3])]
    for each in shown:
        if title := each.removeprefix("manual: ") if each.startswith("manual: ") else "":
            assert f".It {title}\n" in MANUAL
            continue
        file, *tests = re.findall(r"`([^`]+)`", each)
        assert tests, each
        text = (ROOT / "tests" / file).read_text()
        assert [name for name in tests if f"\ndef {name}(" not in text] == []
