# SPDX-License-Identifier: Apache-2.0
"""Dates as servers write them: when to ask again, and whether the clock of this device agrees with theirs."""

import time

from tedge_cert import journal
from tedge_cert.durations import format_duration

# Nobody waits for longer, and a number of any length would be printed.
LONGEST_S = 1_000_000_000
# A certificate that begins so much ahead of the clock is valid, so a smaller difference changes no judgement.
TOLERANCE_S = 300


def seconds_of(text: str | None) -> float | None:
    """The time that a header such as ``Date`` names (RFC 9110 §5.6.7); None if it is none."""
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(text or "")
        # A zone of -0000 is UTC without a word about where the server is (RFC 5322 §3.3).
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def retry_after_s(value: str | None, now_s: float | None = None) -> int | None:
    """Seconds asked for by a ``Retry-After`` header, given in seconds or as a date (RFC 9110 §10.2.3)."""
    if value is None:
        return None
    if value.strip().isdecimal():
        digits = value.strip()
        return min(int(digits), LONGEST_S) if len(digits) < 20 else LONGEST_S
    begins_s = seconds_of(value)
    return None if begins_s is None else max(0, round(begins_s - (time.time() if now_s is None else now_s)))


def compare_clock(server: str, date: str | None) -> None:
    """Warn where the clock of this device differs from that of a server so much that certificates are misjudged."""
    theirs_s = seconds_of(date)
    if theirs_s is None:
        return
    ahead_s = int(time.time() - theirs_s)
    if abs(ahead_s) > TOLERANCE_S:
        side = "ahead of" if ahead_s > 0 else "behind"
        journal.warning(
            f"the clock of this device is {format_duration(abs(ahead_s), 2)} {side} that of {server}; certificates "
            "are judged by it, so set it: see `timedatectl status`"
        )
