# SPDX-License-Identifier: Apache-2.0
"""Read and write durations; the hourly check uses this module, so it imports nothing."""


def format_duration(seconds: int, units: int = 5) -> str:
    """Write a duration as years (of 365 days), days, hours, minutes and seconds; at most ``units`` non-zero parts."""
    parts = []
    for suffix, size_s in (("y", 31_536_000), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size_s)
        if count:
            parts.append(f"{count}{suffix}")
    return " ".join(parts[:units]) or "0s"


_UNITS_S = {
    "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
    "h": 3_600, "hr": 3_600, "hrs": 3_600, "hour": 3_600, "hours": 3_600,
    "d": 86_400, "day": 86_400, "days": 86_400,
    "w": 604_800, "wk": 604_800, "wks": 604_800, "week": 604_800, "weeks": 604_800,
    "M": 2_630_016, "month": 2_630_016, "months": 2_630_016,
    "y": 31_557_600, "yr": 31_557_600, "yrs": 31_557_600, "year": 31_557_600, "years": 31_557_600,
}  # fmt: skip


# Other programs that read the settings keep seconds in 64 bits.
_TOO_LONG_S = 1 << 64
_LONGEST = 200


def counted(count: int, what: str) -> str:
    """Return ``1 attempt`` or ``2 attempts``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def duration_s(text: str) -> int:
    """Return the seconds of ``30d``, ``45days``, ``1h 30m`` or ``90``, which is seconds; raises ValueError."""
    text = text.strip()
    if len(text) > _LONGEST:
        raise ValueError(f"expected a duration of at most {_LONGEST} characters")
    total_s, rest = (int(text), "") if text.isdecimal() else (0, text)
    while rest:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        after = rest[len(digits) :].lstrip()
        unit = after[: len(after) - len(after.lstrip("abcdefghijklmnopqrstuvwxyzM"))]
        if not digits or unit not in _UNITS_S:
            total_s = -1
            break
        total_s += int(digits) * _UNITS_S[unit]
        rest = after[len(unit) :].lstrip()
    if total_s < 0 or not text:
        raise ValueError("expected a duration such as 30d, 12h, 1h 30m or 90 (seconds)")
    if total_s >= _TOO_LONG_S:
        raise ValueError(f"expected a duration of less than {_TOO_LONG_S} seconds")
    return total_s


def part_s(text: str, whole_s: int) -> int:
    """Return the seconds of a duration, or of a percentage of ``whole_s`` such as ``20%``; raises ValueError."""
    text = text.strip()
    if not text.endswith("%"):
        return duration_s(text)
    # Digits only: int() would accept a sign.
    return whole_s * int(text[:-1] if text[:-1].isdecimal() else "") // 100
