# SPDX-License-Identifier: Apache-2.0
"""When: threshold, spread, guard and back-off, as functions of facts and a time, so that a fleet can be simulated.

The hourly check uses this module, so it imports no other that it does not have already.
"""

from tedge_cert.durations import duration_s
from tedge_cert.errors import ConfigurationError
from tedge_cert.hourly.validity import Validity

SPREAD = "RENEWAL_SPREAD"
"""The environment variable of the unit; without it nothing is spread."""

HOUR_S, DAY_S = 3_600, 86_400
# A certificate out of a renewal that the threshold made due at once again is left alone until this part is left.
GUARDED_PART = 3

_MASK = (1 << 64) - 1


def slot(device_id: str, attempt: int = 0) -> float:
    """The place of a device among all devices, in [0, 1): the same for an id in every version.

    FNV-1a of 64 bits, with the last step of SplitMix64 behind it, because ids that differ at their end alone would
    else lie close together. ``attempt`` gives a device another place for each of its attempts.
    """
    state = 0xCBF29CE484222325
    for byte in device_id.encode("utf-8", "surrogatepass"):
        state = (state ^ byte) * 0x100000001B3 & _MASK
    state = state + attempt * 0x9E3779B97F4A7C15 & _MASK
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
    return ((state ^ state >> 31) >> 11) / (1 << 53)


def spread_s(text: str, minimum_s: int) -> int:
    """What ``RENEWAL_SPREAD`` says, in seconds: a duration, or a percentage of the threshold; empty is none.

    Raises ConfigurationError.
    """
    text = text.strip()
    try:
        if text.endswith("%"):
            # A number alone: no ValueError would come of a sign.
            return minimum_s * int(text[:-1] if text[:-1].isdecimal() else "") // 100
        return duration_s(text) if text else 0
    except ValueError as error:
        raise ConfigurationError(
            f"the environment variable {SPREAD}: {text!r}: expected a percentage of the threshold such as 20%, a "
            "duration such as 6d, or 0"
        ) from error


def lead_of(validity: Validity, minimum_s: int, spread: int = 0) -> float:
    """How long before its end this certificate is due, see ``lead_s``."""
    return lead_s(validity.lifetime_s, minimum_s, spread, slot(validity.common_name)) if spread else minimum_s


def lead_s(lifetime_s: int, minimum_s: int, spread: int = 0, place: float = 0.0) -> float:
    """How long before its end a certificate is due; ``spread`` in seconds, ``place`` the slot of the device.

    The spread makes it earlier, never later, and takes no more than half of the life before the threshold: it
    never makes a certificate due that was just issued.
    """
    return minimum_s + place * max(0, min(spread, (lifetime_s - minimum_s) / 2))


def is_guarded(lifetime_s: int, left_s: float) -> bool:
    """Whether a certificate that came out of a renewal which made it due at once has too much left for another."""
    return left_s > lifetime_s // GUARDED_PART


def is_due_at_once(left_s: float, minimum_s: int) -> bool:
    """Whether a certificate that was just issued, with so much left, is due already: the threshold is too long."""
    return left_s <= minimum_s
