# SPDX-License-Identifier: Apache-2.0
"""Compute when a certificate is due: threshold, spread and guard, as functions of facts and a time.

A simulation of a fleet uses the same functions. The hourly check uses this module, so it imports nothing that the
check has not loaded already.
"""

from tedge_cert.durations import format_duration, part_s
from tedge_cert.errors import ConfigurationError
from tedge_cert.hourly.validity import Validity

SPREAD = "RENEWAL_SPREAD"
"""The environment variable of the unit; without it there is no spread."""

HOUR_S, DAY_S = 3_600, 86_400
# The timer starts the check every hour. With fewer checks than this before the end, a failed one can be the last.
LEAST_S = 3 * HOUR_S
_USUAL_S = 30 * DAY_S
OFFLINE_RULE = "take at least three times the longest time that the device is offline"
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
    try:
        return part_s(text, minimum_s) if text.strip() else 0
    except ValueError as error:
        raise ConfigurationError(
            f"the environment variable {SPREAD}: {text!r}: expected a percentage of the threshold such as 20%, a "
            "duration such as 6d, or 0"
        ) from error


def threshold_fault(minimum_s: int, lifetime_s: int = 0) -> str:
    """Return why a threshold is too short or too long for a certificate; empty if it is neither.

    ``lifetime_s`` is 0 where there is no certificate yet. ``better_threshold`` is what to set instead.
    """
    shown = format_duration(minimum_s, 2)
    if lifetime_s and minimum_s >= lifetime_s:
        return (
            f"the threshold ({shown}) is no shorter than the life of the certificate "
            f"({format_duration(lifetime_s, 2)}), so that each one is due at once"
        )
    least_s = _least_s(lifetime_s)
    if minimum_s < least_s:
        return (
            f"the threshold ({shown}) is shorter than {format_duration(least_s, 2)}, so that the hourly check has less "
            "than three attempts before the certificate expires"
        )
    return ""


def _least_s(lifetime_s: int) -> int:
    """Return the shortest threshold that has no fault: three checks, or half of a life that is shorter than six."""
    return min(LEAST_S, lifetime_s // 2) if lifetime_s else LEAST_S


def better_threshold(lifetime_s: int = 0) -> str:
    """Return the threshold to advise: 30 days, or a third of a shorter life, but none that has a fault itself."""
    best_s = max(min(_USUAL_S, lifetime_s // GUARDED_PART or _USUAL_S), _least_s(lifetime_s))
    if best_s < LEAST_S:
        return f"{-(-best_s // 60)}m"
    return f"{best_s // DAY_S}d" if best_s >= DAY_S else f"{best_s // HOUR_S}h"


def lead_of(validity: Validity, minimum_s: int, spread: int = 0) -> float:
    """Return how long before its end this certificate is due, see ``lead_s``."""
    return lead_s(validity.lifetime_s, minimum_s, spread, slot(validity.device_id)) if spread else minimum_s


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
