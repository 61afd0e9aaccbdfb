# SPDX-License-Identifier: Apache-2.0
"""Compare the clock of this device with that of a server, by the server's ``Date`` header."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from tedge_cert import cures, journal
from tedge_cert.durations import format_duration
from tedge_cert.net.retry_after import seconds_of
from tedge_cert.times import CLOCK_TOLERANCE_S


def time_of(headers: Mapping[str, str]) -> float | None:
    """Return the time of the server that sent ``headers``, in seconds since the epoch; None without a ``Date``."""
    return seconds_of(headers.get("Date"))


@dataclass(frozen=True)
class Difference:
    """How far the clock of this device is ahead of that of a server; below 0 it is behind. Shown as `2h behind`."""

    ahead_s: int

    @property
    def is_too_large(self) -> bool:
        """Whether certificates would be misjudged by one of the two clocks."""
        return abs(self.ahead_s) > CLOCK_TOLERANCE_S

    def __str__(self) -> str:
        return f"{format_duration(abs(self.ahead_s), 2)} {'ahead of' if self.ahead_s > 0 else 'behind'}"


def difference(headers: Mapping[str, str]) -> Difference | None:
    """Return how the clock of this device differs from that of the server that sent ``headers`` just now."""
    theirs_s = time_of(headers)
    return None if theirs_s is None else Difference(round(time.time() - theirs_s))


def compare(server: str, headers: Mapping[str, str]) -> None:
    """Warn if the clock of this device and that of ``server`` differ so much that certificates would be misjudged."""
    found = difference(headers)
    if found is not None and found.is_too_large:
        journal.warning(
            f"the clock of this device is {found} that of {server}; certificates are judged by it: {cures.clock()}"
        )
