# SPDX-License-Identifier: Apache-2.0
"""A fleet of devices and the authority that they ask, attempt by attempt over years."""

from array import array
from collections import defaultdict
from dataclasses import dataclass

from bench.fleet_policies import DICE, MINUTE_S, YEAR_S, Policy
from tedge_cert.hourly.schedule import DAY_S, HOUR_S

YEARS, WAVES = 3, 3
HOURS = YEARS * YEAR_S // HOUR_S
# Devices that ask in these minutes are served in order; one that would ask twice in them waits for the next.
TURN_S = 5 * MINUTE_S
TURNS = HOUR_S // TURN_S
# Made from Monday to Friday in two shifts, so that the week has 80 hours with work and 88 without.
WORKDAYS, SHIFT_BEGINS_H, SHIFT_ENDS_H = 5, 6, 22
# One clock in ten is off, by up to half a day.
CLOCKS_OFF, OFF_BY_S = 0.1, DAY_S / 2
# The authority signs for a hundredth of the fleet in an hour; later devices get Retry-After.
HOURLY_PART, RETRY_AFTER_S = 100, 3 * HOUR_S
APART = 1 / 3


@dataclass(frozen=True)
class Span:
    """From then on, and before then."""

    begins_s: float
    ends_s: float

    def holds(self, time_s: float) -> bool:
        """Whether it is then."""
        return self.begins_s <= time_s < self.ends_s


NEVER = Span(0, 0)


class History:
    """What the authority saw, by the hour and by the minute, and what became of the devices."""

    def __init__(self) -> None:
        self.hours = _counts(HOURS)
        self.served = _counts(HOURS)
        self.minutes = _counts(HOURS * 60)
        # The requests of all devices for their first renewal, for their second, and so on.
        self.waves = [_counts(HOURS) for _ in range(WAVES)]
        self.lost = 0
        # How long after the outage, and after the partition, the last device that met it was renewed.
        self.back_s = [0.0, 0.0]


def _counts(number: int) -> "array[int]":
    return array("I", bytes(4 * number))


class Fleet:
    """Devices that were made in the first week; `run` lets the years pass."""

    def __init__(self, policy: Policy, devices: int, outage: Span = NEVER, partition: Span = NEVER) -> None:
        # The same devices, whatever the policy and whatever happens.
        DICE.seed(20)
        self._policy, self._limit = policy, devices // HOURLY_PART
        self._troubles = (outage, partition)
        self._ends = array("d", (_made_s() + YEAR_S for _ in range(devices)))
        self._clock_off = array("d", (_off_s() for _ in range(devices)))
        self._is_apart = bytearray(DICE.random() < APART for _ in range(devices))
        self._wave = bytearray(devices)
        # By bits: it met the outage, it met the partition.
        self._met = bytearray(devices)
        self._next = array("d", bytes(8 * devices))
        self._asking: defaultdict[int, array[int]] = defaultdict(lambda: array("I"))
        self.history = History()
        self._turn = -1
        for number in range(devices):
            self._wait_until_due(number)

    def run(self) -> History:
        """What happens until the last year is over."""
        left = 0
        for self._turn in range(HOURS * TURNS):
            hour, begins = divmod(self._turn, TURNS)
            left = left if begins else self._limit
            asking = self._asking.pop(self._turn, None)
            for number in sorted(asking, key=self._next.__getitem__) if asking else ():
                left -= self._ask(number, hour, left > 0)
        self.history.lost = sum(ends_s < HOURS * HOUR_S for ends_s in self._ends)
        return self.history

    def _plan(self, number: int, local_s: float) -> None:
        self._next[number] = when_s = local_s - self._clock_off[number]
        self._asking[max(int(when_s // TURN_S), self._turn + 1)].append(number)

    def _wait_until_due(self, number: int) -> None:
        self._plan(number, self._policy.first_s(number, self._ends[number]))

    def _ask(self, number: int, hour: int, has_room: bool) -> bool:
        """An attempt; whether a certificate was issued."""
        now_s, history = self._next[number], self.history
        if now_s > self._ends[number]:
            return False
        for bit, trouble in enumerate(self._troubles, 1):
            if trouble.holds(now_s) and (bit == 1 or self._is_apart[number]):
                self._met[number] |= bit
                self._fail(number, None, trouble.ends_s)
                return False
        history.hours[hour] += 1
        history.minutes[int(now_s // MINUTE_S)] += 1
        if self._wave[number] < WAVES:
            history.waves[self._wave[number]][hour] += 1
        if has_room:
            history.served[hour] += 1
            self._renew(number)
        else:
            self._fail(number, RETRY_AFTER_S, now_s)
        return has_room

    def _fail(self, number: int, requested_s: int | None, over_s: float) -> None:
        off_s, now_s = self._clock_off[number], self._next[number]
        again_s = self._policy.again_s(number, now_s + off_s, self._ends[number], requested_s, over_s + off_s)
        self._plan(number, again_s)

    def _renew(self, number: int) -> None:
        now_s, met = self._next[number], self._met[number]
        for place, trouble in enumerate(self._troubles):
            if met & 1 << place:
                self.history.back_s[place] = max(self.history.back_s[place], now_s - trouble.ends_s)
        self._met[number] = 0
        self._wave[number] = min(self._wave[number] + 1, WAVES)
        self._policy.renewed(number)
        self._ends[number] = now_s + YEAR_S
        self._wait_until_due(number)


def _made_s() -> float:
    """When a device got its first certificate."""
    return DICE.randrange(WORKDAYS) * DAY_S + DICE.uniform(SHIFT_BEGINS_H, SHIFT_ENDS_H) * HOUR_S


def _off_s() -> float:
    return DICE.uniform(-OFF_BY_S, OFF_BY_S) if DICE.random() < CLOCKS_OFF else 0.0
