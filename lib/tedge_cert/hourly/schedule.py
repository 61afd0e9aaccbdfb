# SPDX-License-Identifier: Apache-2.0
"""Compute when a certificate is due: threshold, spread and guard, as functions of facts and a time.

A simulation of a fleet uses the same functions. The hourly check uses this module, so it imports nothing that the
check has not loaded already.
"""

from tedge_cert.durations import duration_s
from tedge_cert.errors import ConfigurationError
from tedge_cert.hourly.validity import Validity

SPREAD = "RENEWAL_SPREAD"
"""The environment variable of the unit; without it there is no spread."""

HOUR_S, DAY_S = 3_600, 86_400
# A new certificate that was due at once is left alone until one part in three of its life is left.
GUARDED_PART = 3

_MASK = (1 << 64) - 1


def slot(device_id: str, attempt: int = 0) -> float:
    """Return the place of a device among all devices, in [0, 1): the same for an id in every version.

    FNV-1a of 64 bits, then the last step of SplitMix64, because ids that differ only at the end would otherwise lie
    close together. ``attempt`` gives a device another place for each attempt.
    """
    state = 0xCBF29CE484222325
    for byte in device_id.encode("utf-8", "surrogatepass"):
        state = (state ^ byte) * 0x100000001B3 & _MASK
    state = state + attempt * 0x9E3779B97F4A7C15 & _MASK
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
    return ((state ^ state >> 31) >> 11) / (1 << 53)


def spread_s(text: str, minimum_s: int) -> int:
    """Return the seconds of ``RENEWAL_SPREAD``: a duration, or a percentage of the threshold; empty means none.

    Raises ConfigurationError.
    """
    text = text.strip()
    try:
        if text.endswith("%"):
            # Digits only: int() would accept a sign.
            return minimum_s * int(text[:-1] if text[:-1].isdecimal() else "") // 100
        return duration_s(text) if text else 0
    except ValueError as error:
        raise ConfigurationError(
            f"the environment variable {SPREAD}: {text!r}: expected a percentage of the threshold such as 20%, a "
            "duration such as 6d, or 0"
        ) from error


def lead_of(validity: Validity, minimum_s: int, spread: int = 0) -> float:
    """Return how long before its end this certificate is due, see ``lead_s``."""
    return lead_s(validity.lifetime_s, minimum_s, spread, slot(validity.common_name)) if spread else minimum_s


def lead_s(lifetime_s: int, minimum_s: int, spread: int = 0, place: float = 0.0) -> float:
    """Return how long before its end a certificate is due; ``spread`` in seconds, ``place`` the slot of the device.

    The spread makes it earlier, never later, and takes at most half of the life before the threshold: a certificate
    that was just issued is never due because of it.
    """
    return minimum_s + place * max(0, min(spread, (lifetime_s - minimum_s) / 2))


def is_guarded(lifetime_s: int, left_s: float) -> bool:
    """Return whether a new certificate that was due at once has too much of its life left for another renewal."""
    return left_s > lifetime_s // GUARDED_PART


def is_due_at_once(left_s: float, minimum_s: int) -> bool:
    """Return whether a certificate that was just issued is due already: the threshold is too long."""
    return left_s <= minimum_s
