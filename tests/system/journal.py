# SPDX-License-Identifier: Apache-2.0
"""Entries of a device's journal, and what a run of a unit left in it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# How a run of a unit ended, by the ids of systemd.catalog.
# The manager forgets the result of a unit that it unloads, the journal does not.
SKIPPED = "0e4284a0caca4bfc81c0bb6786972673"
SUCCEEDED = "7ad2d189f7e94e70a38c781354912448"
FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
ENDS = {SKIPPED: "skipped", SUCCEEDED: "success", FAILED: "failed"}


def _text(value: Any) -> str:
    if isinstance(value, list):
        if all(isinstance(item, int) for item in value):  # bytes that are no UTF-8 text
            return bytes(value).decode(errors="replace")
        return "\n".join(map(str, value))  # a field given more than once
    return "" if value is None else str(value)


@dataclass(frozen=True)
class Entry:
    """One entry: all its fields as text."""

    fields: dict[str, str]

    @classmethod
    def from_json(cls, line: str) -> "Entry":
        """Read one line of `journalctl --output=json`."""
        return cls({key: _text(value) for key, value in json.loads(line).items()})

    @property
    def message(self) -> str:
        """Return the line itself."""
        return self.fields.get("MESSAGE", "")

    @property
    def message_id(self) -> str:
        """Return the id of the event, empty for a plain line."""
        return self.fields.get("MESSAGE_ID", "")

    @property
    def priority(self) -> int:
        """Return the level: 3 error, 4 warning, 5 notice, 6 information, 7 debug."""
        return int(self.fields.get("PRIORITY", "6"))

    @property
    def unit(self) -> str:
        """Return the unit that the sender belongs to, or that systemd speaks of."""
        return self.fields.get("UNIT" if self.by_manager else "_SYSTEMD_UNIT", "")

    @property
    def by_manager(self) -> bool:
        """Whether systemd itself wrote it."""
        return self.fields.get("_PID") == "1"


def entries(lines: Iterable[str]) -> list[Entry]:
    """Read the lines of `journalctl --output=json`."""
    return [Entry.from_json(line) for line in lines if line.strip()]


@dataclass(frozen=True)
class UnitRun:
    """What `systemctl start` of a service that ends by itself brought."""

    unit: str
    exit_code: int
    """of systemctl: 0 also for a skipped run"""
    entries: list[Entry]
    """what the unit's processes and, about it, systemd wrote meanwhile"""
    cpu_ns: int | None
    """CPU time of the run in ns; None when systemd has unloaded the unit since: see Device.keep_loaded"""

    @property
    def outcome(self) -> str:
        """Return success, skipped or failed; empty when the unit did not end."""
        return next((ENDS[entry.message_id] for entry in reversed(self.entries) if entry.message_id in ENDS), "")

    @property
    def result(self) -> str:
        """Return systemd's word: success, exec-condition, exit-code, signal, timeout, …"""
        ends = [entry for entry in reversed(self.entries) if entry.message_id in ENDS]
        return ends[0].fields.get("UNIT_RESULT", "success") if ends else ""

    @property
    def lines(self) -> list[str]:
        """Return the lines that the unit's processes wrote."""
        return [entry.message for entry in self.entries if not entry.by_manager]

    @property
    def events(self) -> list[Entry]:
        """Return the events that the unit's processes wrote."""
        return [entry for entry in self.entries if entry.message_id and not entry.by_manager]
