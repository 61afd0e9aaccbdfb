# SPDX-License-Identifier: Apache-2.0
"""The pauses between failed attempts, over a simulated year and near the end of a certificate."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tedge_cert.hourly import schedule
from tedge_cert.hourly.schedule import DAY_S, HOUR_S
from tedge_cert.steps import back_off

YEAR_S = 365 * DAY_S


def attempts(device_id: str, left_s: float, every_s: int = HOUR_S) -> Iterator[tuple[float, float]]:
    """Return time and remaining validity of every attempt of a device whose attempts all fail."""
    now_s, failed, next_s = 0.0, 0, 0
    while left_s - now_s > 0:
        if not back_off.is_held_back(next_s, now_s, left_s - now_s):
            yield now_s, left_s - now_s
            failed += 1
            next_s = int(now_s) + back_off.pause_s(device_id, failed, left_s - now_s)
        now_s += every_s


# Of some attempts with a year left, in seconds.
PAUSES = {"device-1": (12_300, 45_764, 26_287, 36_516, 37_975), "sensor-0815": (18_599, 70_616, 29_486, 43_946, 50_395)}


@pytest.mark.parametrize("device_id", PAUSES)
def test_pauses(device_id: str) -> None:
    """Check vectors; the first pause may be as long as later ones, or a fleet would return often within an outage."""
    assert tuple(back_off.pause_s(device_id, number, YEAR_S) for number in range(1, 6)) == PAUSES[device_id]


@pytest.mark.parametrize("device_id", ["device-1", "device-2", "sensor-0815", "Ü"])
def test_a_year_of_failures(device_id: str) -> None:
    """There are few attempts while much validity is left, more towards the end, and one in each of the last hours."""
    made = list(attempts(device_id, YEAR_S))
    gaps = [later - sooner for (sooner, _), (later, _) in pairwise(made)]
    assert len(made) < 850
    assert max(gaps) <= 21 * HOUR_S
    for (_, left_s), gap in zip(made, gaps, strict=False):
        assert gap <= max(left_s / 30, 0) + HOUR_S
    # Denser again: more in the last ten days than in a month before.
    of_the_end = sum(left <= 10 * DAY_S for _, left in made)
    assert of_the_end > sum(10 * DAY_S < left <= 40 * DAY_S for _, left in made)
    # The pause of an attempt a little before the last 30 hours may take the first run in them.
    assert sum(left <= 29 * HOUR_S for _, left in made) == 29
    assert made[-1][1] <= HOUR_S


@given(st.text(max_size=10), st.integers(0, 23), st.integers(0, 23))
def test_a_device_with_a_network_for_an_hour_a_day_is_not_lost(device_id: str, network_h: int, due_h: int) -> None:
    assert any((now_s // HOUR_S + due_h) % 24 == network_h for now_s, _ in attempts(device_id, 30 * DAY_S))


@pytest.mark.parametrize("lifetime_s", [HOUR_S, DAY_S, 7 * DAY_S, 30 * DAY_S, 366 * DAY_S])
def test_short_lives_are_asked_for_often_enough(lifetime_s: int) -> None:
    """With a threshold of a third of the life there are at least twenty attempts, if the timer runs often enough."""
    made = list(attempts("device-1", lifetime_s // 3, every_s=max(10, min(HOUR_S, lifetime_s // 300))))
    assert len(made) >= 20


@pytest.mark.parametrize(
    ("requested_s", "left_s", "least", "most"),
    [
        (120, YEAR_S, 121, 133),
        (0, YEAR_S, 1, 1),
        (6 * HOUR_S, YEAR_S, 6 * HOUR_S + 1, 6.6 * HOUR_S + 1),
        (DAY_S, YEAR_S, DAY_S, DAY_S),
        (10 * YEAR_S, YEAR_S, DAY_S, DAY_S),
        (DAY_S, 5 * DAY_S, DAY_S / 2, DAY_S / 2),
        (DAY_S, 600, 60, 60),
        (DAY_S, -5, 0, 0),
    ],
)
def test_what_a_server_asks_for_is_kept_to_within_bounds(
    requested_s: int, left_s: int, least: float, most: float
) -> None:
    assert least <= back_off.pause_s("device-1", 3, left_s, requested_s) <= most


@pytest.mark.parametrize(("failed", "shortest_h"), [(1, 2), (2, 4), (5, 10), (6, 12), (7, 12), (500, 12)])
def test_devices_that_failed_together_come_back_apart(failed: int, shortest_h: int) -> None:
    """They return over the hours between the shortest pause, which grows, and the longest."""
    hours = [0] * 20
    for number in range(10_000):
        hours[back_off.pause_s(f"sensor-{number}", failed, YEAR_S) // HOUR_S] += 1
    share = 10_000 / (20 - shortest_h)
    assert hours[:shortest_h] == [0] * shortest_h
    assert min(hours[shortest_h:]) > 0.85 * share
    assert max(hours[shortest_h:]) < 1.15 * share


def test_no_device_is_always_among_the_last() -> None:
    places = [schedule.slot("sensor-0815", number) for number in range(1, 40)]
    assert 0.4 < sum(places) / len(places) < 0.6


@pytest.mark.parametrize(
    ("ahead_s", "left_s", "held"),
    [
        (0, YEAR_S, False),
        (-5, YEAR_S, False),
        (60, YEAR_S, True),
        (DAY_S, YEAR_S, True),
        # Further ahead than any pause: the clock was set back, or the file was edited.
        (DAY_S + 1, YEAR_S, False),
        (HOUR_S, 10 * HOUR_S, True),
        (HOUR_S, 10 * HOUR_S - 10, False),
        (1, -1, False),
    ],
)
def test_a_next_attempt_counts_within_the_bounds_of_a_pause(ahead_s: int, left_s: int, held: bool) -> None:
    now_s = 1_800_000_000
    assert back_off.is_held_back(now_s + ahead_s, now_s, left_s) is held


@given(
    st.text(max_size=10),
    st.integers(-5, 1 << 60),
    st.integers(-YEAR_S, 60 * YEAR_S),
    st.none() | st.integers(0, 1 << 60),
    st.integers(0, 60 * YEAR_S),
)
def test_a_pause_never_outlasts_its_own_bound(
    device_id: str, failed: int, left_s: int, requested_s: int | None, later_s: int
) -> None:
    """At any later time, a valid stored next attempt is never ignored as too far ahead."""
    pause = back_off.pause_s(device_id, failed, left_s, requested_s)
    assert 0 <= pause <= DAY_S
    assert pause == 0 or pause <= left_s / 10
    assert later_s >= pause or back_off.is_held_back(pause, later_s, left_s - later_s)
