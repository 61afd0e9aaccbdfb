# SPDX-License-Identifier: Apache-2.0
"""Certificates of an hour and of thirty years, thresholds that do not fit them, leap days, and the end of a life."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from faults.answers import whole_directory
from faults.clock import ClockedDevice, ahead, at
from faults.goodness import expect_good
from faults.hourly import CONDITION, Hour, hour
from faults.record import Matrix
from tenant.client import Tenant
from unit.connected import certify, configure, connect, serial_of

pytestmark = pytest.mark.row("Time")
HOUR_S, DAY_S = 3_600, 86_400
YEAR_S = 365 * DAY_S


@pytest.fixture
def device(tenant: Tenant, tmp_path: Path) -> Iterator[ClockedDevice]:
    """A connected device with ten days left, which is due."""
    made = ClockedDevice(tmp_path / "device", tenant, tmp_path.name.replace("_", "-"))
    certify(made)
    connect(made)
    yield made
    made.stop_broker()


def renews(device: ClockedDevice) -> Hour:
    """A run that must bring a new certificate."""
    old = serial_of(device.certificate)
    run = hour(device)
    assert run.result == "success", run.said
    assert serial_of(device.certificate) != old
    expect_good(device, run.said)
    return run


def rests(device: ClockedDevice) -> Hour:
    """A run that must find nothing to do."""
    run = hour(device)
    assert run.result == "exec-condition", run.said
    return run


@pytest.mark.parametrize(
    ("lifetime_s", "threshold"),
    [
        pytest.param(HOUR_S, "30d", id="one hour"),
        pytest.param(30 * DAY_S, "30d", id="as long as the threshold", marks=pytest.mark.whole),
        pytest.param(YEAR_S, "100y", id="threshold longer than any life", marks=pytest.mark.whole),
    ],
)
def test_a_threshold_that_is_too_long(
    device: ClockedDevice, tenant: Tenant, matrix: Matrix, lifetime_s: int, threshold: str
) -> None:
    """It is reported once, then a third of the life counts; so no certificate is renewed every hour."""
    certify(device, lifetime_s / 2 / DAY_S)
    configure(device, "[run]", f'[certificate.validity]\nminimum_duration = "{threshold}"\n[run]')
    tenant.settings(lifetime_s=lifetime_s)
    with matrix.case(f"{lifetime_s} s, threshold {threshold}"):
        assert "is no shorter than what certificates are granted" in renews(device).said
        assert "a third of its life" in rests(device).said
        device.clock = ahead(lifetime_s * 0.6)
        assert "a third of its life" in rests(device).said
    # The tenant's certificates are those of today: only what is short enough can be renewed later.
    if lifetime_s <= DAY_S:
        with matrix.case(f"{lifetime_s} s, when less than a third is left"):
            device.clock = ahead(lifetime_s * 0.7)
            renews(device)


@pytest.mark.whole
def test_thirty_years(device: ClockedDevice, tenant: Tenant, matrix: Matrix) -> None:
    tenant.settings(lifetime_s=30 * YEAR_S)
    with matrix.case("thirty years"):
        renews(device)
        assert "is valid for 29y 364d" in rests(device).said
        device.clock = ahead(30 * YEAR_S - 31 * DAY_S)
        rests(device)
        device.clock = ahead(30 * YEAR_S - 29 * DAY_S)
        assert device.run(CONDITION).exit == 0


def test_a_life_that_ends_on_a_leap_day(device: ClockedDevice, matrix: Matrix) -> None:
    end = datetime(2028, 2, 29, 12, tzinfo=UTC)
    certify(device, (end - datetime.now(UTC)).total_seconds() / DAY_S)
    # The threshold, thirty days, is reached on the thirtieth of January.
    for when, code in {(1, 30, 11): 1, (1, 30, 13): 0, (2, 29, 11): 0, (2, 29, 13): 255, (3, 1, 1): 255}.items():
        device.clock = at(2028, *when)
        with matrix.case(f"2028-02-29, on {when}"):
            done = device.run(CONDITION)
            matrix.said(done.stderr)
            assert done.exit == code, done


def test_an_expired_certificate_says_each_hour_how_to_get_back(device: ClockedDevice, matrix: Matrix) -> None:
    before = whole_directory(device.directory)
    for hours in range(2):
        device.clock = ahead(11 * DAY_S + hours * HOUR_S)
        with matrix.case(f"expired, hour {hours}"):
            run = hour(device)
            assert run.result == "exit-code"
            (line,) = run.said.splitlines()
            assert "expired" in line
            assert "one-time password" in line
            assert "tedge cert download c8y" in line
            assert whole_directory(device.directory) == before


@pytest.mark.whole
def test_a_life_that_shrinks(device: ClockedDevice, tenant: Tenant, matrix: Matrix) -> None:
    """A certificate that ends sooner than the active one is not used, and not requested every hour."""
    tenant.settings(lifetime_s=DAY_S)
    before = whole_directory(device.directory)
    with matrix.case("shorter than what is left"):
        refused, held = hour(device), hour(device)
        assert "not later than the certificate" in refused.said
        assert "the authority is not asked before" in held.said
        assert (refused.result, held.result) == ("exit-code", "exit-code")
        assert whole_directory(device.directory) == before
    tenant.settings(lifetime_s=12 * DAY_S)
    with matrix.case("shorter than before, and longer than what is left"):
        device.clock = ahead(DAY_S)
        renews(device)
