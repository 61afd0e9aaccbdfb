# SPDX-License-Identifier: Apache-2.0
"""Simulate devices over several certificates, hour by hour, with the real schedule and state."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from tedge_cert import events
from tedge_cert.device.state import State
from tedge_cert.hourly import schedule
from tedge_cert.hourly.schedule import DAY_S, HOUR_S
from tedge_cert.hourly.validity import VALID, Validity
from tedge_cert.steps import back_off
from tedge_cert.steps.outcome import RENEW, VERIFY, Result, state_after

YEAR_S = 365 * DAY_S
# The subject of these certificates in DER: SEQUENCE, SET, OID of the common name.
NAME = bytes.fromhex("310d300b06035504030c0464657631")


@dataclass
class Life:
    """A device, an authority that grants the lifetimes in turn (then always the last one), and their history."""

    granted: list[int]
    minimum_s: int
    spread: str = "20%"
    hour_s: int = HOUR_S
    # When the authority does not answer.
    away: tuple[int, int] = (0, 0)
    requests: list[int] = field(default_factory=list)
    renewals: list[int] = field(default_factory=list)
    warnings: int = 0
    expired: bool = False
    shortest_left_s: int = 1 << 60

    def run(self, seconds: int) -> "Life":
        """Simulate this long, or until the certificate expires."""
        active, kept = Validity(0, self.granted.pop(0), "1", NAME), State()
        for now_s in range(self.hour_s, seconds, self.hour_s):
            left_s = active.left_s(now_s)
            if left_s < 0:
                self.expired = True
                break
            self.shortest_left_s = min(self.shortest_left_s, left_s)
            if not self._is_due(active, kept, now_s):
                continue
            self.requests.append(now_s)
            if self.away[0] <= now_s < self.away[1]:
                kept = state_after(kept, Result(RENEW, events.NO_ANSWER, ""), "", active, self.minimum_s, now_s)
                continue
            lifetime_s = self.granted.pop(0) if len(self.granted) > 1 else self.granted[0]
            active = Validity(now_s, now_s + lifetime_s, "1", NAME)
            kept = state_after(kept, Result(VERIFY, events.RENEWED, ""), "", active, self.minimum_s, now_s)
            self.renewals.append(now_s)
            self.warnings += kept.guarded != 0
        return self

    def _is_due(self, active: Validity, kept: State, now_s: int) -> bool:
        lead = schedule.lead_of(active, self.minimum_s, schedule.spread_s(self.spread, self.minimum_s))
        left_s = active.left_s(now_s)
        guarded = kept.guarded == active.not_after_s and schedule.is_guarded(active.lifetime_s, left_s)
        held = back_off.is_held_back(kept.next_attempt_s, now_s, left_s)
        return active.state(now_s, lead) != VALID and not guarded and not held


def test_the_name_is_one() -> None:
    assert Validity(0, 1, "1", NAME).common_name == "dev1"


@pytest.mark.parametrize(
    ("granted", "minimum_s", "every_s"),
    [
        # Renewed between the threshold with all of its spread and the threshold alone; a leap year is a day longer.
        ([YEAR_S, YEAR_S], 30 * DAY_S, (329 * DAY_S, 335 * DAY_S)),
        ([366 * DAY_S, 366 * DAY_S], 30 * DAY_S, (330 * DAY_S, 336 * DAY_S)),
        ([90 * DAY_S, 90 * DAY_S], 30 * DAY_S, (54 * DAY_S, 60 * DAY_S)),
        ([7 * DAY_S, 7 * DAY_S], 2 * DAY_S, (4 * DAY_S, 5 * DAY_S)),
    ],
)
def test_ten_years_of_renewals(granted: list[int], minimum_s: int, every_s: tuple[int, int]) -> None:
    life = Life(granted, minimum_s).run(10 * YEAR_S)
    assert (life.expired, life.warnings) == (False, 0)
    assert life.requests == life.renewals
    gaps = {later - sooner for sooner, later in pairwise(life.renewals)}
    assert every_s[0] - HOUR_S <= min(gaps) <= max(gaps) <= every_s[1] + HOUR_S


def test_thirty_years_are_one_renewal() -> None:
    life = Life([10_957 * DAY_S, 10_957 * DAY_S], 90 * DAY_S, hour_s=DAY_S).run(31 * YEAR_S)
    assert (len(life.renewals), life.expired) == (1, False)


def test_an_hour_needs_a_timer_of_minutes() -> None:
    life = Life([HOUR_S, HOUR_S], 20 * 60, hour_s=300).run(30 * DAY_S)
    assert (life.expired, life.warnings) == (False, 0)
    assert 30 * 24 < len(life.requests) < 30 * 24 * 2.5


@pytest.mark.parametrize("lifetime_s", [20 * DAY_S, 30 * DAY_S, 90 * DAY_S, YEAR_S])
def test_a_threshold_longer_than_any_life(lifetime_s: int) -> None:
    """One renewal and one warning in two thirds of a life, and never one every hour."""
    life = Life([lifetime_s, lifetime_s], 2 * YEAR_S).run(3 * YEAR_S)
    assert life.expired is False
    assert life.warnings == len(life.renewals) == len(life.requests)
    assert len(life.requests) <= 3 * YEAR_S / (lifetime_s * 2 / 3) + 2


def test_a_life_that_shrinks_below_the_threshold_and_grows_again() -> None:
    granted = [YEAR_S, 90 * DAY_S, 20 * DAY_S, 10 * DAY_S, YEAR_S, YEAR_S]
    life = Life(granted, 30 * DAY_S).run(3 * YEAR_S)
    assert (life.expired, life.warnings) == (False, 2)
    assert life.requests == life.renewals
    assert len(life.renewals) == 6


@pytest.mark.parametrize("days", [1, 10, 29])
def test_an_outage_within_the_threshold_costs_nothing(days: int) -> None:
    outage = (300 * DAY_S, (335 + days) * DAY_S)
    life = Life([YEAR_S, YEAR_S], 30 * DAY_S, away=outage).run(2 * YEAR_S)
    assert life.expired is False
    back = next(each for each in life.requests if each >= outage[1])
    assert back - outage[1] <= 21 * HOUR_S
    assert back in life.renewals
    assert len([each for each in life.requests if each < outage[1]]) < 12 + 6 * (days + 6)


def test_an_outage_longer_than_the_threshold_is_fought_to_the_last_hour() -> None:
    life = Life([YEAR_S, YEAR_S], 30 * DAY_S, away=(300 * DAY_S, 400 * DAY_S)).run(2 * YEAR_S)
    assert (life.expired, life.renewals) == (True, [])
    assert YEAR_S - life.requests[-1] < 2 * HOUR_S


def test_what_the_state_says_is_no_more_than_a_hint() -> None:
    """A state that is lost or old makes a request earlier, never too late."""
    kept = replace(State(), next_attempt_s=1 << 52, guarded=5)
    life = Life([YEAR_S], 30 * DAY_S)
    active = Validity(0, YEAR_S, "1", NAME)
    assert life._is_due(active, kept, 340 * DAY_S)
