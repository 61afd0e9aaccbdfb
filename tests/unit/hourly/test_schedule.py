# SPDX-License-Identifier: Apache-2.0
"""When a certificate is due: threshold, spread and guard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tedge_cert.durations import part_s
from tedge_cert.errors import ConfigurationError
from tedge_cert.hourly import schedule
from tedge_cert.hourly.schedule import DAY_S, HOUR_S
from tedge_cert.hourly.validity import Validity
from unit.certificates import NOW_S, make

YEAR_S = 365 * DAY_S

# Every later version must give these ids the same slots; a device with another slot would renew twice.
SLOTS = {
    "": (0.9576734252420561, 0.7636945250957473),
    "device-1": (0.6025750437242915, 0.07871506162983088),
    "device-2": (0.778307749842784, 0.6304021605443788),
    "sensor-0815": (0.9312016722820684, 0.17591667785065013),
    "Ü": (0.05190126947516316, 0.6114515418347419),
    "a" * 64: (0.7536084912761967, 0.5994729506861015),
}


@pytest.mark.parametrize("device_id", SLOTS)
def test_the_slot_of_an_id_never_changes(device_id: str) -> None:
    assert (schedule.slot(device_id), schedule.slot(device_id, 1)) == SLOTS[device_id]


@pytest.mark.parametrize("pattern", ["sensor-{:06}", "{:06}-gateway", "rpi-{:x}", "{}"])
@pytest.mark.parametrize("attempt", [0, 1, 7])
def test_ids_that_differ_little_lie_far_apart(pattern: str, attempt: int) -> None:
    """Twenty thousand devices with consecutive numbers spread evenly over hundredths of the time."""
    shares = [0] * 100
    for number in range(20_000):
        shares[int(schedule.slot(pattern.format(number), attempt) * 100)] += 1
    assert 140 <= min(shares) <= max(shares) <= 260


@given(st.text(), st.integers(0, 50))
def test_a_slot_is_a_fraction(device_id: str, attempt: int) -> None:
    assert 0 <= schedule.slot(device_id, attempt) < 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", 0), ("0", 0), ("0%", 0), ("20%", 6 * DAY_S), (" 100% ", 30 * DAY_S), ("6d", 6 * DAY_S), ("1h 30m", 5_400)],
)
def test_spread_is_a_duration_or_a_part_of_the_threshold(text: str, seconds: int) -> None:
    assert schedule.spread_s(text, 30 * DAY_S) == seconds


@pytest.mark.parametrize("text", ["%", "-20%", "20 %", "1.5%", "20%%", "soon", "²%", "-1d", "9" * 5000 + "%"])
def test_a_spread_that_is_none_names_its_variable(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"RENEWAL_SPREAD.*such as 20%"):
        schedule.spread_s(text, 30 * DAY_S)


@pytest.mark.parametrize(
    ("lifetime_s", "minimum_s", "spread", "place", "lead"),
    [
        (YEAR_S, 30 * DAY_S, 0, 0.9, 30 * DAY_S),
        (YEAR_S, 30 * DAY_S, 6 * DAY_S, 0.0, 30 * DAY_S),
        (YEAR_S, 30 * DAY_S, 6 * DAY_S, 0.5, 33 * DAY_S),
        # A certificate of an hour, and one of thirty years with its leap days.
        (HOUR_S, 1_200, 240, 0.5, 1_320),
        (10_957 * DAY_S, 90 * DAY_S, 18 * DAY_S, 0.5, 99 * DAY_S),
        # The spread takes at most half of the life before the threshold.
        (34 * DAY_S, 30 * DAY_S, 6 * DAY_S, 0.5, 31 * DAY_S),
        (YEAR_S, 30 * DAY_S, 20 * YEAR_S, 0.5, 30 * DAY_S + (YEAR_S - 30 * DAY_S) / 4),
        # A threshold longer than the life: there is nothing to spread over.
        (30 * DAY_S, 30 * DAY_S, 6 * DAY_S, 0.9, 30 * DAY_S),
        (HOUR_S, 400 * DAY_S, 80 * DAY_S, 0.9, 400 * DAY_S),
    ],
)
def test_how_long_before_its_end_a_certificate_is_due(
    lifetime_s: int, minimum_s: int, spread: int, place: float, lead: float
) -> None:
    assert schedule.lead_s(lifetime_s, minimum_s, spread, place) == lead


@given(
    st.integers(60, 40 * YEAR_S),
    st.integers(1, 60 * YEAR_S),
    st.integers(0, 60 * YEAR_S),
    st.floats(0, 1, exclude_max=True),
)
def test_the_spread_is_earlier_and_never_at_once(lifetime_s: int, minimum_s: int, spread: int, place: float) -> None:
    lead = schedule.lead_s(lifetime_s, minimum_s, spread, place)
    assert minimum_s <= lead <= minimum_s + spread
    assert minimum_s >= lifetime_s or lead < lifetime_s


@given(st.lists(st.integers(HOUR_S, 360 * DAY_S), min_size=2, max_size=6), st.text(max_size=20))
def test_a_longer_threshold_moves_a_device_once_and_earlier(thresholds: list[int], device_id: str) -> None:
    """A certificate that is due by one threshold is due by every longer one: no change makes a device renew twice."""
    place = schedule.slot(device_id)
    leads = [schedule.lead_s(YEAR_S, each, schedule.spread_s("20%", each), place) for each in sorted(thresholds)]
    assert leads == sorted(leads)


def test_the_device_id_is_read_from_the_certificate() -> None:
    made = make("sensor-0815")
    validity = Validity(NOW_S, NOW_S + YEAR_S, "1", made.certificate.subject.public_bytes()[2:])
    lead = schedule.lead_of(validity, 30 * DAY_S, 6 * DAY_S)
    assert lead == 30 * DAY_S + SLOTS["sensor-0815"][0] * 6 * DAY_S
    assert schedule.lead_of(validity, 30 * DAY_S) == 30 * DAY_S


@pytest.mark.parametrize(
    ("text", "lifetime_s", "seconds"), [("30d", YEAR_S, 30 * DAY_S), ("20%", YEAR_S, 73 * DAY_S), ("20%", 0, 0)]
)
def test_a_threshold_is_a_duration_or_a_part_of_the_lifetime(text: str, lifetime_s: int, seconds: int) -> None:
    assert part_s(text, lifetime_s) == seconds


@pytest.mark.parametrize(
    ("minimum_s", "lifetime_s", "said", "better"),
    [
        (30 * DAY_S, YEAR_S, "", "30d"),
        (3 * HOUR_S, 0, "", "30d"),
        (3 * HOUR_S - 1, YEAR_S, "the threshold (2h 59m) is shorter than 3h", "30d"),
        (30, 0, "the threshold (30s) is shorter than 3h", "30d"),
        (30 * DAY_S, 30 * DAY_S, "the threshold (30d) is no shorter than the life of the certificate (30d)", "10d"),
        (30 * DAY_S, 12 * HOUR_S, "no shorter than the life of the certificate (12h)", "4h"),
        (HOUR_S, 7 * HOUR_S, "is shorter than 3h", "3h"),
        (HOUR_S, 4 * HOUR_S, "is shorter than 2h", "120m"),
        (60, 2 * HOUR_S, "is shorter than 1h", "60m"),
    ],
)
def test_a_threshold_is_judged_by_the_timer_and_the_lifetime(
    minimum_s: int, lifetime_s: int, said: str, better: str
) -> None:
    fault = schedule.threshold_fault(minimum_s, lifetime_s)
    assert said in fault if said else fault == ""
    assert schedule.better_threshold(lifetime_s) == better
    assert schedule.threshold_fault(part_s(better, 0), lifetime_s) == ""


@pytest.mark.parametrize(("left_s", "at_once"), [(30 * DAY_S + 1, False), (30 * DAY_S, True), (HOUR_S, True)])
def test_a_threshold_as_long_as_what_was_granted_is_too_long(left_s: int, at_once: bool) -> None:
    assert schedule.is_due_at_once(left_s, 30 * DAY_S) is at_once


@pytest.mark.parametrize("lifetime_s", [HOUR_S, 90 * DAY_S, YEAR_S, 10_957 * DAY_S])
def test_the_guard_holds_for_two_thirds_of_a_life(lifetime_s: int) -> None:
    assert schedule.is_guarded(lifetime_s, lifetime_s // 3 + 1)
    assert not schedule.is_guarded(lifetime_s, lifetime_s // 3)
