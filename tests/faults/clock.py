# SPDX-License-Identifier: Apache-2.0
"""A device with a clock that tests can set (libfaketime); waits are measured by the monotonic clock.

The tenant and the broker keep the right time, as they do in the field.
"""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from unit.local_device import ROOT, LocalDevice


@cache
def library() -> str:
    """Where the package of this architecture has its library."""
    listed = subprocess.run(["dpkg", "-L", "libfaketime"], capture_output=True, text=True, check=True).stdout
    return next(each for each in listed.splitlines() if each.endswith("/libfaketimeMT.so.1"))


def at(year: int, month: int = 1, day: int = 1, hour: int = 0) -> str:
    """A clock that is set to this at present, as seconds from now."""
    return ahead(datetime(year, month, day, hour, tzinfo=UTC).timestamp() - datetime.now(UTC).timestamp())


def ahead(seconds: float) -> str:
    """A clock so far ahead of the right one."""
    return f"{seconds:+.0f}"


@dataclass
class ClockedDevice(LocalDevice):
    """The device; its clock may be set while a command runs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.clock = "+0"
        self.variables: dict[str, str] = {}

    @property
    def clock_file(self) -> Path:
        """What the library reads at every look at the clock."""
        return self.directory / "run" / "clock"

    @property
    def clock(self) -> str:
        """How far the clock is off."""
        return self.clock_file.read_text()

    @clock.setter
    def clock(self, offset: str) -> None:
        # In one go, since a command may be looking.
        new = self.clock_file.with_suffix(".set")
        new.write_text(offset)
        new.rename(self.clock_file)

    @property
    def environment(self) -> dict[str, str]:
        """The same, with the library."""
        return {
            **super().environment,
            "LD_PRELOAD": library(),
            "PYTHONPATH": f"{ROOT / 'lib'}:{Path(__file__).parent / 'clocked'}",
            "FAKETIME_TIMESTAMP_FILE": str(self.clock_file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            **self.variables,
        }
