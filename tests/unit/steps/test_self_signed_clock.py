# SPDX-License-Identifier: Apache-2.0
"""A candidate that the device signed itself while its clock was far ahead: nobody takes it when the clock is right."""

import time

import pytest
from pytest_mock import MockerFixture

from tedge_cert.steps import renew, verify
from unit import connected
from unit.certificates import DAY_S
from unit.connected import configure, instance_of, issue, outcome, serial_of, serials
from unit.local_device import LocalDevice, free_port
from unit.self_made import RENEW, create, lengthen, upload

BY_UNIT = f"{RENEW} --systemd c8y"


def ahead(mocker: MockerFixture, by_s: float) -> None:
    """The clock of the device alone."""
    real = time.time
    mocker.patch.object(time, "time", side_effect=lambda: real() + by_s)


def sign(device: LocalDevice, mocker: MockerFixture, by_s: float) -> tuple[str, str | None]:
    """A certificate that is due, and a candidate made by a clock so far ahead."""
    old = create(device, 20, trusted=True)
    lengthen(device)
    ahead(mocker, by_s)
    assert renew.renew(instance_of(device), None, by_unit=True, ca="self-signed")
    mocker.stopall()
    return old, serial_of(device.candidate)


@pytest.mark.parametrize("uploaded", [False, True])
def test_it_is_replaced_and_that_is_said(local_device: LocalDevice, mocker: MockerFixture, uploaded: bool) -> None:
    old, early = sign(local_device, mocker, 400 * DAY_S)
    if uploaded:
        assert upload(local_device).exit == 0
    result = local_device.run(BY_UNIT)
    new = serial_of(local_device.candidate)
    assert (result.exit, serials(local_device)[0]) == (0, old)
    assert new not in (early, None)
    line = result.stderr.splitlines()[0]
    assert line.startswith(
        f"warning: the candidate {local_device.candidate} (serial {int(early or 0):x}) is replaced: "
    )
    assert "begins" in line
    assert "`tedge cert upload c8y`" in line
    assert "still fits and is used" in local_device.run(BY_UNIT).stderr
    connected.hurry(mocker)
    assert upload(local_device).exit == 0
    assert outcome(lambda: verify.verify(instance_of(local_device))) == (0, "")
    assert serials(local_device) == (new, None, None)


def test_one_that_begins_soon_is_waited_for(local_device: LocalDevice, mocker: MockerFixture) -> None:
    old, early = sign(local_device, mocker, DAY_S + 7_200)
    result = local_device.run(BY_UNIT)
    assert (result.exit, serials(local_device)) == (1, (old, early, None))
    assert f"{local_device.candidate} is kept" in result.stderr


def test_without_the_time_of_the_tenant_it_stays(local_device: LocalDevice, mocker: MockerFixture) -> None:
    old, early = sign(local_device, mocker, 400 * DAY_S)
    configure(local_device, f"127.0.0.1:{local_device.tenant.http_port}", f"127.0.0.1:{free_port()}")
    result = local_device.run(BY_UNIT)
    assert (result.exit, serials(local_device)) == (1, (old, early, None))
    assert "the clock is wrong" in result.stderr


@pytest.mark.parametrize("by_s", [-7_200, 7_200])
def test_by_a_clock_that_the_tenant_contradicts_it_stays(
    local_device: LocalDevice, mocker: MockerFixture, by_s: int
) -> None:
    old, early = sign(local_device, mocker, 400 * DAY_S)
    ahead(mocker, by_s)
    code, said = outcome(lambda: renew.renew(instance_of(local_device), None, True, "self-signed"))
    assert (code, serials(local_device)) == (1, (old, early, None))
    assert "the clock is wrong" in said


def test_one_of_an_authority_stays(local_device: LocalDevice) -> None:
    """Somebody got it, and may know why it begins then."""
    old = create(local_device, 20, trusted=True)
    given = issue(local_device, days=800, not_before_offset_s=400 * DAY_S)
    result = local_device.run(BY_UNIT)
    assert (result.exit, serials(local_device)) == (1, (old, given, None))
