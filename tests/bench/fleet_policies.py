# SPDX-License-Identifier: Apache-2.0
"""When a device of a fleet asks for a certificate: by the policies of others, and by the functions of ours.

Times are seconds; those of the fleet are right, those on a device are off by what its clock is off.
"""

import random
from dataclasses import dataclass

from tedge_cert.hourly import schedule
from tedge_cert.hourly.schedule import DAY_S, HOUR_S
from tedge_cert.steps import back_off

YEAR_S = 365 * DAY_S
MINUTE_S = 60
DICE = random.Random()  # noqa: S311 - chance that can be repeated, no secret


@dataclass(frozen=True)
class Timer:
    """Strikes so often by the clock of the device, each time later by up to so much."""

    every_s: int
    delay_s: int

    def from_on(self, time_s: float) -> float:
        """The first strike at that time or later."""
        strike_s = time_s // self.every_s * self.every_s + DICE.random() * self.delay_s
        return strike_s if strike_s >= time_s else self.after(time_s)

    def after(self, time_s: float) -> float:
        """The strike of the next period."""
        return (time_s // self.every_s + 1) * self.every_s + DICE.random() * self.delay_s


class Policy:
    """What a timer and a threshold make; a failure changes nothing, the next strike is the next attempt."""

    name = ""
    words = ""
    TIMER = Timer(HOUR_S, 5 * MINUTE_S)
    # A device asks when so much is left, or earlier by up to so much, by chance.
    LEAD_S, JITTER_S = 30.0 * DAY_S, 0.0

    def __init__(self, devices: int) -> None:
        """For so many devices, which have the numbers below that."""

    def first_s(self, number: int, ends_s: float) -> float:
        """When a device asks for the successor of a certificate that ends then."""
        del number
        return self.TIMER.from_on(ends_s - self.LEAD_S - DICE.random() * self.JITTER_S)

    def again_s(self, number: int, now_s: float, ends_s: float, requested_s: int | None, over_s: float) -> float:
        """Return when it asks again, after the failure has ended; attempts until then are left out."""
        del number, ends_s, requested_s
        return self.TIMER.from_on(over_s) if over_s > now_s else self.TIMER.after(now_s)

    def renewed(self, number: int) -> None:
        """It has a new certificate."""


class ThinEdge(Policy):
    """The timer and the threshold of thin-edge.io."""

    name = "thin-edge"
    words = "30 days left; every hour, 5 min at random"


class Certbot(Policy):
    """The timer of Debian's package, and its rule for lifetimes beyond ten days."""

    name = "certbot"
    words = "a third of the life left; twice a day, 12 h at random"
    TIMER = Timer(12 * HOUR_S, 12 * HOUR_S)
    LEAD_S = YEAR_S / 3


class Step(Policy):
    """The timer of smallstep's documentation, with the jitter of `step ca renew --daemon`."""

    name = "step"
    words = "two thirds of the life gone, less up to a twentieth of that; every 15 min, 5 min at random"
    TIMER = Timer(15 * MINUTE_S, 5 * MINUTE_S)
    LEAD_S, JITTER_S = YEAR_S / 3, YEAR_S * 2 / 3 / 20


class Azure(Policy):
    """`auto_renew` of Azure IoT Edge: no timer of a device, but its own clock."""

    name = "Azure IoT Edge"
    words = "80 % of the life gone; again after 4 % of it"
    TIMER = Timer(1, 0)
    LEAD_S = YEAR_S / 5
    AGAIN_S = YEAR_S * 4 // 100

    def again_s(self, number: int, now_s: float, ends_s: float, requested_s: int | None, over_s: float) -> float:
        """The same pause, whatever happened."""
        del number, ends_s, requested_s, over_s
        return now_s + self.AGAIN_S


class Ours(Policy):
    """The functions that the hourly check and the renewal call on a device."""

    name = "tedge-cert-renewer"
    words = "30 days left and up to 6 days earlier; every hour, 5 min at random; 2 to 20 hours after a failure"
    # A test holds these, and the timer, to the units and to the default of the setting.
    MINIMUM_S, SPREAD = 30 * DAY_S, "20%"

    def __init__(self, devices: int) -> None:
        super().__init__(devices)
        spread_s = schedule.spread_s(self.SPREAD, self.MINIMUM_S)
        places = (schedule.slot(self._id(number)) for number in range(devices))
        self._leads = [schedule.lead_s(YEAR_S, self.MINIMUM_S, spread_s, place) for place in places]
        self._failed: dict[int, int] = {}

    def first_s(self, number: int, ends_s: float) -> float:
        """When what is left falls below the threshold and the device's part of the spread."""
        return self.TIMER.from_on(ends_s - self._leads[number])

    def again_s(self, number: int, now_s: float, ends_s: float, requested_s: int | None, over_s: float) -> float:
        """The first strike that is not held back; each attempt counts, whether it was seen or not."""
        del over_s
        failed = self._failed[number] = self._failed.get(number, 0) + 1
        next_s = int(now_s) + back_off.pause_s(self._id(number), failed, ends_s - now_s, requested_s)
        strike_s = self.TIMER.after(now_s)
        if strike_s < next_s:
            strike_s = self.TIMER.from_on(next_s)
        while back_off.is_held_back(next_s, strike_s, ends_s - strike_s):
            strike_s = self.TIMER.after(strike_s)
        return strike_s

    def renewed(self, number: int) -> None:
        """Reset the count of failures."""
        self._failed.pop(number, None)

    @staticmethod
    def _id(number: int) -> str:
        return f"sensor-{number:07}"


POLICIES: tuple[type[Policy], ...] = (ThinEdge, Certbot, Step, Azure, Ours)
