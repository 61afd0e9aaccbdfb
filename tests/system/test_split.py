# SPDX-License-Identifier: Apache-2.0
"""A device with the one package of version 0.1 gets the two that it was split into."""

from pathlib import Path

import pytest

from system.debs import COMMON, PACKAGE
from system.device import Device
from system.devices import Devices
from system.installing import altered, in_one, install, remove
from system.onboarding import connect
from system.renewer import TIMER, expect_renewal
from tenant.client import Tenant

pytestmark = pytest.mark.own_device

OWNER = "dpkg-query --search {} | cut -d: -f1"


@pytest.fixture
def _off(devices: Devices) -> Device:
    return devices.make("dependencies")


def test_a_connected_device_is_upgraded_from_the_one_package(
    device: Device, tenant: Tenant, package: Path, tmp_path: Path
) -> None:
    install(device, in_one(package, tmp_path, "0.1.0"))
    connect(device, tenant)
    broker, connections = device.unit("mosquitto.service", "MainPID"), tenant.device(device.name)["connections"]
    timer = device.unit(TIMER, "ActiveState", "UnitFileState", "ActiveEnterTimestampMonotonic")
    install(device, package)
    assert device.run(OWNER.format("/usr/bin/tedge-cert-verify")).stdout.strip() == COMMON
    assert device.run(OWNER.format("/usr/bin/tedge")).stdout.strip() == PACKAGE
    assert altered(device) == []
    assert device.unit("mosquitto.service", "MainPID") == broker
    assert tenant.device(device.name)["connections"] == connections
    assert device.unit(TIMER, "ActiveState", "UnitFileState", "ActiveEnterTimestampMonotonic") == timer
    assert timer["ActiveState"] == "active"
    expect_renewal(device, tenant)
    assert device.state == "running"
    remove(device, "purge")
    assert device.run("find /usr/lib /usr/bin /var/lib -name '*tedge-cert*' ! -path '*/dpkg/*'").stdout == ""
