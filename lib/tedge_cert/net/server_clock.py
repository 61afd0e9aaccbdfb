# SPDX-License-Identifier: Apache-2.0
"""Compare the clock of this device with that of a server, by the server's ``Date`` header."""

import time
from collections.abc import Mapping

from tedge_cert import cures, journal
from tedge_cert.durations import format_duration
from tedge_cert.net.retry_after import seconds_of
from tedge_cert.times import CLOCK_TOLERANCE_S


def time_of(headers: Mapping[str, str]) -> float | None:
    """Return the time of the server that sent ``headers``, in seconds since the epoch; None without a ``Date``."""
    return seconds_of(headers.get("Date"))


def compare(server: str, headers: Mapping[str, str]) -> None:
    """Warn if the clock of this device and that of ``server`` differ so much that certificates would be misjudged."""
    theirs_s = time_of(headers)
    if theirs_s is None:
        return
    ahead_s = int(time.time() - theirs_s)
    if abs(ahead_s) > CLOCK_TOLERANCE_S:
        side = "ahead of" if ahead_s > 0 else "behind"
        journal.warning(
            f"the clock of this device is {format_duration(abs(ahead_s), 2)} {side} that of {server}; certificates "
            f"are judged by it: {cures.clock()}"
        )
