# SPDX-License-Identifier: Apache-2.0
"""A small simulated fleet meets the goals of a large one; and a fleet that really renews against a limit."""

from array import array

import pytest

from bench import fleet_real
from bench.fleet_figures import AFTERMATH_H, Story, Window, busiest, tell
from bench.fleet_picture import draw
from bench.fleet_policies import Azure, Ours, ThinEdge, Timer
from bench.fleet_simulation import Fleet, Span
from tedge_cert.config.keys.table import KEYS
from tedge_cert.durations import duration_s
from tedge_cert.hourly.schedule import DAY_S, HOUR_S
from unit.local_device import ROOT

DEVICES = 10_000
# With so few devices, many may meet in one hour by chance: of a thousand Poisson values of mean 23 the greatest is 40.
HOURS = 24


@pytest.fixture(scope="module")
def story() -> Story:
    return tell(Ours, DEVICES)


def test_no_day_is_busier_than_the_window_says(story: Story) -> None:
    for window, wave in zip(story.windows, Fleet(Ours(DEVICES), DEVICES).run().waves, strict=True):
        day = busiest(wave, HOURS)
        assert sum(wave[int(day.begins_s // HOUR_S) :][:HOURS]) <= 1.2 * HOURS * window.mean


def test_the_day_after_an_outage_is_no_flood(story: Story) -> None:
    after = int(story.troubles[0].ends_s // HOUR_S)
    hours = story.history.hours[after : after + AFTERMATH_H]
    floods = [sum(hours[at : at + 6]) for at in range(len(hours) - 6)]
    assert max(floods) <= 3 * 6 * story.windows[1].mean
    assert 0 < story.history.back_s[0] <= DAY_S


def test_no_device_is_lost_or_renewed_too_often(story: Story) -> None:
    assert story.history.lost == 0
    # Of a year, each renewal leaves between 30 and 36 days.
    assert DEVICES * 3 <= sum(story.history.served) <= DEVICES * 3 * 1.1
    assert story.refused > 0


def test_it_is_the_timer_the_spread_and_the_threshold_of_the_package() -> None:
    timer = (ROOT / "units" / "tedge-cert-renewer@.timer").read_text()
    assert "\nOnCalendar=hourly\n" in timer
    assert "\nRandomizedDelaySec=5m\n" in timer
    assert Timer(HOUR_S, 300) == Ours.TIMER
    service = (ROOT / "units" / "tedge-cert-renewer@.service").read_text()
    assert f"\nEnvironment=RENEWAL_SPREAD={Ours.SPREAD.replace('%', '%%')}\n" in service
    assert duration_s(str(KEYS["certificate.validity.minimum_duration"].default)) == Ours.MINIMUM_S


def test_the_simulation_sees_what_is_lost() -> None:
    """Simulate a fleet that is offline from the threshold to the end, and one whose policy floods the tenant."""
    cut_off = Span(300 * DAY_S, 400 * DAY_S)
    assert Fleet(ThinEdge(300), 300, cut_off).run().lost == 300
    assert tell(ThinEdge, 1_000).surge(0) > 10


class AtOnce(Azure):
    """A policy that asks again in the next second."""

    AGAIN_S = 1


def test_a_device_that_asks_again_at_once_is_served() -> None:
    """With a limit of one in an hour, most are refused, and each is served in the end."""
    history = Fleet(AtOnce(100), 100).run()
    assert (history.lost, sum(history.served)) == (0, 300)
    assert sum(history.hours) > 500


def test_a_window_is_the_middle_half() -> None:
    window = Window.of(array("I", [0, 1, 1, 4, 6, 4, 4, 2, 2, 0]))
    assert (window.begins, window.ends, window.mean, window.peak, window.whole_mean) == (3, 7, 4.5, 6, 3)


def test_the_picture_is_small_and_whole(story: Story) -> None:
    picture = draw([story], DEVICES)
    assert picture.startswith("<svg ")
    assert picture.endswith("</svg>\n")
    assert len(picture) < 30_000
    assert picture.count(f'fill="{"#e07b39"}"') >= 4


def test_a_fleet_renews_within_the_limit_of_its_tenant() -> None:
    """All devices are due at once, some are refused, and each has one new certificate in the end."""
    outcome = fleet_real.run(30, lambda _: None, shortest_hour_s=2)
    assert outcome.errors == []
    assert outcome.statuses[200] == 30
    assert outcome.statuses[429] > 0
    assert (outcome.early, outcome.lost, outcome.doubled) == (0, 0, 0)
    assert outcome.is_good
