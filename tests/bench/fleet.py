# SPDX-License-Identifier: Apache-2.0
"""A million devices over three years by five policies, simulated; and a fleet that renews for real, with a limit."""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from bench import fleet_real, stage
from bench.figures import table
from bench.fleet_figures import GOALS, HEAD, Story, row, tell, windows
from bench.fleet_picture import draw
from bench.fleet_policies import POLICIES, Ours, Policy
from bench.fleet_simulation import HOURLY_PART, RETRY_AFTER_S
from unit.local_device import ROOT

DOCUMENT, PICTURE = ROOT / "docs" / "fleet.md", ROOT / "docs" / "fleet.svg"
_TEXT = """# A fleet that renews

What a certificate authority sees of {devices:,} devices made in one week, by the policy of this renewer and by those of
others; then {real:,} renewals for real. `make bench` writes this page.

![Requests per hour at the authority, for five policies]({picture})

## Three years of {devices:,} devices, simulated

{figures}

The devices are made from Monday to Friday in two shifts, 6 to 22 o'clock; certificates last a year; one clock in ten is
off, by up to twelve hours. The authority signs for {limit:,} devices in an hour, and answers all further requests of
that hour with 429 and `Retry-After: {retry_after}`. This renewer is simulated by the functions of
`lib/tedge_cert/hourly/schedule.py`, as on a device, with the timer, the threshold and the spread of its package.
The others are modelled by their timer and their threshold; they ignore `Retry-After`.

{policies}

How it is counted:

- A *wave* has the requests of all devices for one renewal, refused ones included; the figures are those of the worst of
  three waves.
- The *window* of a wave is the time in which the middle half of its requests come. Before and after it are the rise
  and the fall that a week of production gives every policy. *Of the mean* is the busiest hour of the whole wave,
  divided by the mean hour of the window; *of the whole wave's mean* divides by that of all hours from the first request
  to the last. The difference between the two comes from the week of production, and shrinks with a spread that is many
  times as long.
- The *outage* lasts a day, in the second wave; the *partition* cuts a third of the devices off for ten days, in the
  third wave; both begin when most devices are due. After each, the busiest hour of the next 20 days is divided by the
  mean hour of the window that the wave has without trouble; *last one back* is when the last device that met the
  trouble had its certificate.
- *Busiest minute*: timers with five minutes of random delay put the requests of an hour into those minutes;
  `RandomizedDelaySec=1h`, in a drop-in for the timer, would spread them over the hour.
- *Lost* are devices whose certificate expired before they had the next one.

Mean hour, busiest hour and length in days of each window, without trouble:

{windows}

With this renewer the requests of the fleet spread further with each renewal, because each device keeps its place in
the spread: the window of the third renewal is three times as long as that of one.

## {real:,} renewals for real

{outcome}

Each device has its own key, certificate, configuration and state; condition and renewal are those that the unit runs,
in {workers} processes at a time, over TLS with a token for the client certificate, against a tenant that answers 429
with `Retry-After` beyond its limit. An hour is shortened to seconds: all devices are due within one, their timers
strike {strikes} times in it, and `Retry-After` is one. When all are renewed, one device in {sample} takes its new
certificate into use, proved by MQTT. The requests are counted by the tenant, and its certificates are compared with
those of the devices.

{surroundings}

Repeat: `PYTHONPATH=lib:tests python3 -m bench.fleet {options}`
"""


def simulate(devices: int) -> list[Story]:
    """What happens by each policy, as many at a time as there are cores; the one that takes longest is the first."""
    with ProcessPoolExecutor() as pool:
        stories = pool.map(partial(_tell, devices=devices), reversed(POLICIES))
        return list(stories)[::-1]


def _tell(policy: type[Policy], devices: int) -> Story:
    stage.say(f"{devices:,} devices by the policy of {policy.name}")
    return tell(policy, devices)


def is_good(story: Story) -> bool:
    """Whether the goals are met."""
    is_calm = story.peak_to_mean <= 1.2 and story.surge(0) <= 3
    return is_calm and story.history.back_s[0] <= 86_400 and story.history.lost == 0


def page(stories: Sequence[Story], devices: int, outcome: fleet_real.Outcome) -> str:
    """The text of the document."""
    return _TEXT.format(
        devices=devices,
        real=outcome.devices,
        picture=PICTURE.name,
        figures=table(HEAD, [*map(row, stories), GOALS]),
        limit=devices // HOURLY_PART,
        retry_after=RETRY_AFTER_S,
        policies="\n".join(f"- {each.name}: {each.words}." for each in stories),
        windows=table(("policy", "first", "second", "third"), map(windows, stories)),
        outcome=table(("", ""), outcome.rows()),
        workers=fleet_real.WORKERS,
        strikes=fleet_real.STRIKES,
        sample=fleet_real.SAMPLE,
        surroundings=stage.surroundings(),
        options=f"--simulated {devices} --devices {outcome.devices}",
    )


def main() -> None:
    """Simulate, renew, and write both tables and the picture; exit status 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--simulated", type=int, default=1_000_000, metavar="N", help="devices (default: %(default)s)")
    parser.add_argument("--devices", type=int, default=500, metavar="N", help="that renew (default: %(default)s)")
    parser.add_argument("--to", type=Path, default=DOCUMENT, metavar="FILE", help="(default: %(default)s)")
    arguments = parser.parse_args()
    stories = simulate(arguments.simulated)
    outcome = fleet_real.run(arguments.devices, stage.say)
    text = page(stories, arguments.simulated, outcome)
    arguments.to.write_text(text, encoding="utf-8")
    arguments.to.with_name(PICTURE.name).write_text(draw(stories, arguments.simulated), encoding="utf-8")
    print(text)
    ours = next(each for each in stories if each.name == Ours.name)
    if not (is_good(ours) and outcome.is_good):
        sys.exit(f"a goal is missed; errors: {outcome.errors[:3]}")


if __name__ == "__main__":
    main()
