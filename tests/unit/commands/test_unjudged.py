# SPDX-License-Identifier: Apache-2.0
"""A first certificate that comes while the clock is wrong: kept, as its password is spent, and used later."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.authority import answer_checks
from tedge_cert.commands import download as registration
from unit.certificates import DAY_S
from unit.commands.test_download import PASSWORD, QUICK, download
from unit.connected import certify, instance_of, issue, outcome, serials
from unit.local_device import LocalDevice

HOUR_S = 3_600


def issued(device: LocalDevice) -> str:
    serial: str = device.tenant.device(device.device_id)["issued"][-1]["serial"]
    return serial


def register(device: LocalDevice, **fault: Any) -> None:
    device.tenant.register(device.device_id, PASSWORD)
    if fault:
        device.tenant.fault(where="est", times=1, **fault)


def behind(mocker: MockerFixture, by_s: float) -> None:
    """The clock of the device alone."""
    real = time.time
    mocker.patch.object(time, "time", side_effect=lambda: real() - by_s)


def ask(device: LocalDevice, password: str = PASSWORD, host: str = "") -> tuple[int, str]:
    """As the command does, with the clock of this process."""
    known = registration.Registration(
        device.device_id, password, False, host or instance_of(device).config.need("c8y.http")
    )

    def whole() -> None:
        if registration.kept(instance_of(device), known) is None:
            registration.download(instance_of(device), known, None, 1, 0)

    return outcome(whole)


@pytest.mark.parametrize("begins_s", [2 * HOUR_S, 400 * DAY_S])
def test_one_that_begins_later_is_kept(local_device: LocalDevice, begins_s: int) -> None:
    register(local_device, do="not-yet-valid", seconds=begins_s)
    result = download(local_device)
    assert (result.exit, result.stdout) == (1, "")
    assert serials(local_device) == (issued(local_device), None, None)
    last = result.stderr.splitlines()[-1]
    assert last.startswith(
        f"error: the certificate has come and is kept as {local_device.certificate}, but the clock is"
    )
    assert "timedatectl status" in last
    assert "no new one-time password" in last
    assert PASSWORD not in result.stderr


def test_the_same_command_goes_on_without_asking(
    local_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str], asked: Callable[[], int]
) -> None:
    register(local_device, do="not-yet-valid", seconds=2 * HOUR_S)
    for _ in range(2):
        result = download(local_device)
        assert (result.exit, asked()) == (1, 1)
        assert "the clock is wrong" in result.stderr.splitlines()[-1]
    # Nobody is told to register a device that is registered.
    assert "Register the device" not in result.stderr
    # Two hours later.
    mocker.patch.object(answer_checks, "CLOCK_TOLERANCE_S", 2 * HOUR_S + 300)
    assert ask(local_device) == (0, "")
    assert "nothing asked for" in capsys.readouterr().err
    assert (serials(local_device), asked()) == ((issued(local_device), None, None), 1)
    # From then on it is a certificate as any other.
    register(local_device)
    assert ask(local_device) == (0, "")
    assert asked() == 2


def test_without_a_password_it_goes_on_too(local_device: LocalDevice, asked: Callable[[], int]) -> None:
    register(local_device, do="not-yet-valid", seconds=2 * HOUR_S)
    download(local_device)
    result = local_device.run(f"tedge-cert-download c8y {QUICK}")
    assert (result.exit, asked()) == (1, 1)
    assert "is kept as" in result.stderr


def test_another_password_is_asked_with(local_device: LocalDevice, asked: Callable[[], int]) -> None:
    register(local_device, do="not-yet-valid", seconds=2 * HOUR_S)
    first = download(local_device)
    assert first.exit == 1
    local_device.tenant.register(local_device.device_id, "another-one")
    command = f"tedge-cert-download c8y --device-id {local_device.device_id} {QUICK}"
    result = local_device.run(command, DEVICE_ONE_TIME_PASSWORD="another-one")
    assert (result.exit, asked()) == (0, 2)


def test_another_certificate_is_none_that_waits(local_device: LocalDevice, asked: Callable[[], int]) -> None:
    register(local_device, do="not-yet-valid", seconds=2 * HOUR_S)
    download(local_device)
    certify(local_device)
    register(local_device)
    assert (download(local_device).exit, asked()) == (0, 2)


@pytest.mark.parametrize("days", [-1, 30])
def test_the_clock_of_the_tenant_decides_where_there_is_a_certificate(
    local_device: LocalDevice, mocker: MockerFixture, days: int
) -> None:
    """One that is valid by this clock goes only where the tenant's own says that this one is wrong."""
    certify(local_device, days=days, not_before_offset_s=-60 * DAY_S)
    issue(local_device)
    register(local_device)
    behind(mocker, 2 * HOUR_S)
    code, said = ask(local_device)
    assert (code, "is kept as" in said) == (1, True), said
    assert serials(local_device) == (issued(local_device), None, None)


def test_a_certificate_is_not_given_up_for_one_that_nobody_takes(local_device: LocalDevice) -> None:
    old = certify(local_device, days=30)
    register(local_device, do="not-yet-valid", seconds=2 * HOUR_S)
    result = download(local_device)
    assert (result.exit, serials(local_device)) == (1, (old, None, None))
    assert "nothing was written" in result.stderr


def test_a_clock_that_is_ahead_throws_nothing_away_either(
    local_device: LocalDevice, mocker: MockerFixture, asked: Callable[[], int]
) -> None:
    register(local_device, do="lifetime", seconds=30 * DAY_S)
    behind(mocker, -60 * DAY_S)
    code, said = ask(local_device)
    assert (code, serials(local_device)) == (1, (issued(local_device), None, None)), said
    assert "the clock is wrong" in said
    mocker.stopall()
    assert ask(local_device) == (0, "")
    assert asked() == 1


def test_what_goes_wrong_otherwise_is_no_matter_of_clocks(local_device: LocalDevice, mocker: MockerFixture) -> None:
    register(local_device, do="wrong-name", name="somebody-else")
    behind(mocker, 2 * HOUR_S)
    code, said = ask(local_device)
    assert (code, serials(local_device)) == (1, (None, None, None))
    assert "issued to somebody-else" in said
    assert "nothing was written" in said
