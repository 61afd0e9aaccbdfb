# SPDX-License-Identifier: Apache-2.0
"""TODO."""

from tedge_cert.hourly.schedule import DAY_S, HOUR_S, slot

# The longest pause between attempts, which is also no longer than this part of what is left of the certificate: so
# near the end there is an attempt every hour, and a device that has a network for one hour a day is not lost. What
# grows is the shortest pause, by this part of the longest with each failure, up to so many. Pauses that double would
# bring a device that meets an outage of a day back five times within it, and a fleet of them all at once afterwards.
LONGEST_PAUSE_S = 20 * HOUR_S
PART_OF_LEFT = 30
GROWTH_PART, GROWTHS = 10, 6
# No pause that a server asks for is longer than a day, nor than this part of what is left.
LONGEST_REQUESTED_S = DAY_S
REQUESTED_PART_OF_LEFT = 10


def longest_pause_s(left_s: float) -> float:
    """The bound of every pause, whoever asked for it, with so much left of the certificate."""
    return max(0.0, min(LONGEST_REQUESTED_S, left_s / REQUESTED_PART_OF_LEFT))


def pause_s(device_id: str, attempts: int, left_s: float, requested_s: int | None = None) -> int:
    """How long to wait after so many failures in a row (1 at least), with so much left of the certificate.

    What a server asks for is kept to, and a little more, so that not everyone is back at the same moment; without
    that the pause is anything between the shortest, which grows, and the longest one, so that a fleet which failed
    together comes back over most of a day, and another one after each failure, so that no device is always the last.
    """
    place = slot(device_id, attempts)
    if requested_s is not None:
        # One second more, because the time to which this is added has lost its fraction.
        return int(min(requested_s * (1 + place / 10) + 1, longest_pause_s(left_s)))
    longest = max(0.0, min(LONGEST_PAUSE_S, left_s / PART_OF_LEFT))
    shortest = longest * min(max(attempts, 1), GROWTHS) / GROWTH_PART
    return int(shortest + (longest - shortest) * place)


def is_held_back(next_attempt_s: int, now_s: float, left_s: float) -> bool:
    """Whether to wait still; a next attempt further ahead than any pause may be is void (the clock was set back)."""
    return now_s < next_attempt_s <= now_s + longest_pause_s(left_s)
