# SPDX-License-Identifier: Apache-2.0
"""When a server wants to be asked again (``Retry-After``), and dates as servers write them."""

import time

# A longer wait is cut to this, because a server may send a number of any length.
LONGEST_S = 1_000_000_000


def seconds_of(text: str | None) -> float | None:
    """Read the time that a header such as ``Date`` names (RFC 9110 §5.6.7); None if it names none."""
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(text or "")
        # A zone of -0000 means UTC, and parses to a date without a zone (RFC 5322 §3.3).
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def retry_after_s(value: str | None, now_s: float | None = None) -> int | None:
    """Read the seconds that ``Retry-After`` asks for, given in seconds or as a date (RFC 9110 §10.2.3).

    ``now_s`` is the time of the server, by which it wrote the date.
    """
    if value is None:
        return None
    if value.strip().isdecimal():
        digits = value.strip()
        return min(int(digits), LONGEST_S) if len(digits) < 20 else LONGEST_S
    begins_s = seconds_of(value)
    return None if begins_s is None else max(0, round(begins_s - (time.time() if now_s is None else now_s)))
