# SPDX-License-Identifier: Apache-2.0
"""A candidate that the device signed itself while its clock was ahead: kept until it is valid, and never rejected."""

import pytest
from pytest_mock import MockerFixture

from unit import recipes
from unit.certificates import DAY_S
from unit.connected import behind, instance_of, issue, serial_of, serials
from unit.local_device import LocalDevice
from unit.self_made import RENEW, create, lengthen

BY_UNIT = f"{RENEW} --systemd c8y"


@pytest.mark.parametrize("ahead_s", [DAY_S + 7_200, 400 * DAY_S])
def test_it_is_kept_until_it_is_valid(local_device: LocalDevice, mocker: MockerFixture, ahead_s: int) -> None:
    old = create(local_device, 20, trusted=True)
    lengthen(local_device)
    behind(mocker, -ahead_s)
    assert recipes.renew(instance_of(local_device), None, by_unit=True, ca="self-signed") == 0
    mocker.stopall()
    early = serial_of(local_device.candidate)
    result = local_device.run(BY_UNIT)
    assert (result.exit, serials(local_device)) == (1, (old, early, None))
    assert "the clock is wrong" in result.stderr
    assert f"{local_device.candidate} is kept" in result.stderr


def test_one_of_an_authority_stays(local_device: LocalDevice) -> None:
    old = create(local_device, 20, trusted=True)
    given = issue(local_device, days=800, not_before_offset_s=400 * DAY_S)
    result = local_device.run(BY_UNIT)
    assert (result.exit, serials(local_device)) == (1, (old, given, None))
