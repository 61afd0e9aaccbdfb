# SPDX-License-Identifier: Apache-2.0
"""Medians with their range, ratios to a peer, and the tables that show them."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass
class Series:
    """Values of one quantity, in the order in which they were measured."""

    values: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        """Take one more."""
        self.values.append(value)

    @property
    def median(self) -> float:
        """Return the middle one."""
        return statistics.median(self.values)

    def show(self, digits: int = 1) -> str:
        """Return the median, and in brackets the least and the greatest."""
        if not self.values:
            return "none"
        bounds = f"{min(self.values):.{digits}f} to {max(self.values):.{digits}f}"
        return f"{self.median:.{digits}f} ({bounds})"

    def least(self, digits: int = 3) -> str:
        """Return the least and the median, for what must not fall short of something."""
        if not self.values:
            return "none"
        return f"{min(self.values):.{digits}f} / {self.median:.{digits}f} (n={len(self.values)})"


def ratio(part: Series, peer: Series) -> str:
    """Return how many times the peer it is, median by median."""
    return f"{part.median / peer.median:.2f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, its first column left-aligned and the others right-aligned."""
    lines = [head, ["---", *(["---:"] * (len(head) - 1))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def side_by_side(label: str, columns: dict[str, dict[str, str]], goals: dict[str, str]) -> str:
    """Return a table of one column for each release, with what is wanted of a row in the last one."""
    names = dict.fromkeys(name for column in columns.values() for name in column)
    rows = [[name, *(column.get(name, "") for column in columns.values()), goals.get(name, "")] for name in names]
    return table([label, *columns, "goal"], rows)
