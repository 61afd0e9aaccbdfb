# SPDX-License-Identifier: Apache-2.0
"""Compute the pause before the next attempt, and decide whether an attempt has to wait."""

from tedge_cert.hourly.schedule import DAY_S, HOUR_S, slot

# A pause lies between a shortest and a longest one. The longest is 20 hours, and at most this part of the time that
# the certificate is still valid: near the end there is an attempt every hour, so a device that has a network for one
# hour a day still renews. The shortest grows with each failure, by a tenth of the longest, six times. Pauses that
# double would make five attempts during an outage of a day, and the whole fleet would return at once afterwards.
LONGEST_PAUSE_S = 20 * HOUR_S
PART_OF_LEFT = 30
GROWTH_PART, GROWTHS = 10, 6
# A pause that a server asks for is limited to a day, and to this part of the remaining validity.
LONGEST_REQUESTED_S = DAY_S
REQUESTED_PART_OF_LEFT = 10


def longest_pause_s(left_s: float) -> float:
    """Return the limit of every pause, also of one that a server asks for; ``left_s`` is the remaining validity."""
    return max(0.0, min(LONGEST_REQUESTED_S, left_s / REQUESTED_PART_OF_LEFT))


def pause_s(device_id: str, attempts: int, left_s: float, requested_s: int | None = None) -> int:
    """Return the seconds to wait after ``attempts`` failures in a row, with ``left_s`` of validity remaining.

    A pause that a server asks for is kept, plus up to a tenth, so that devices do not return at the same moment.
    Otherwise the device's own slot between the shortest and the longest pause decides. A fleet that failed together
    returns over most of a day; the slot changes with each failure, so no device is always the last.
    """
    place = slot(device_id, attempts)
    if requested_s is not None:
        # One second more, because the time to which this is added is rounded down.
        return int(min(requested_s * (1 + place / 10) + 1, longest_pause_s(left_s)))
    longest = max(0.0, min(LONGEST_PAUSE_S, left_s / PART_OF_LEFT))
    shortest = longest * min(max(attempts, 1), GROWTHS) / GROWTH_PART
    return int(shortest + (longest - shortest) * place)


def is_held_back(next_attempt_s: int, now_s: float, left_s: float) -> bool:
    """Return whether to wait; ignore a next attempt that is further ahead than any pause (the clock was set back)."""
    return now_s < next_attempt_s <= now_s + longest_pause_s(left_s)
