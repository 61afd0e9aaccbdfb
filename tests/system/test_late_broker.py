# SPDX-License-Identifier: Apache-2.0
"""The package is installed before mosquitto: a message names what is missing, and it works after mosquitto came."""

from pathlib import Path

import pytest

from system.device import Device
from system.devices import Devices
from system.installing import altered, install, remove
from system.onboarding import configure, register
from system.renewer import CERTIFICATE, KEY, TIMER, expect_renewal
from tenant.client import Tenant

pytestmark = [pytest.mark.own_device, pytest.mark.one_release]

INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install mosquitto 2>&1"
FORGET = "userdel mosquitto; groupdel mosquitto; rm -rf /etc/mosquitto; ! getent group mosquitto"
LINK = "/etc/mosquitto/conf.d/50-tedge-c8y-bridge.conf"
CURE = "`sudo apt install mosquitto`, then try again"


@pytest.fixture
def _off(devices: Devices) -> Device:
    """A device that is off and has what apt needs to install our package, and mosquitto again."""
    return devices.make("archive")


def test_mosquitto_is_installed_after_the_package(device: Device, tenant: Tenant, package: Path) -> None:
    remove(device, "purge", "mosquitto")
    device.run(FORGET)
    install(device, package)
    configure(device, tenant)
    register(device, tenant)
    before = device.read(CERTIFICATE)
    done = device.run("tedge connect c8y", check=False)
    assert done.exit_code == 1
    assert "mosquitto is not installed" in done.stderr
    assert CURE in done.stderr
    assert device.listing("/etc/tedge/mosquitto-conf") == []
    assert device.run(f"systemctl is-enabled {TIMER}", check=False).stdout.strip() == "disabled"
    assert "=> sudo tedge connect c8y" in device.run("tedge cert status", check=False).stdout
    device.run(INSTALL, timeout_s=200)
    device.run("tedge connect c8y", timeout_s=120)
    tenant.wait_connected(device.name)
    assert device.read(CERTIFICATE) == before
    assert (device.stat(KEY).owner, device.stat(KEY).group) == ("tedge", "mosquitto")
    assert altered(device) == []
    assert device.run("tedge cert status", check=False).exit_code == 0
    expect_renewal(device, tenant)
    check_new_broker(device, tenant)


def check_new_broker(device: Device, tenant: Tenant) -> None:
    """The broker of a connected device is purged, on Debian 13 with its group, and comes again."""
    remove(device, "purge", "mosquitto")
    tenant.wait_disconnected(device.name)
    done = device.run("tedge reconnect c8y", check=False)
    assert done.exit_code == 1
    assert "mosquitto is not installed" in done.stderr, done.stderr
    # So that the group has another number when it comes again.
    device.run("getent group mosquitto || groupadd --system --gid $(stat --format=%g $KEY) other", env={"KEY": KEY})
    status = device.run("tedge cert status", check=False)
    assert status.exit_code in (1, 2)
    assert "=> sudo apt install mosquitto" in status.stdout, status.stdout
    device.run(INSTALL, timeout_s=200)
    status = device.run("tedge cert status", check=False, user="nobody")
    if device.stat(KEY).group != "mosquitto":
        assert "mosquitto may not read the private key" in status.stdout, status.stdout
        assert "=> sudo tedge reconnect c8y" in status.stdout
    device.run(f"rm -f {LINK}; systemctl restart mosquitto")
    status = device.run("tedge cert status", check=False, user="nobody")
    assert f"mosquitto does not know of the bridge: {LINK} is missing\n    => sudo tedge reconnect c8y" in status.stdout
    device.run("tedge reconnect c8y", timeout_s=120)
    tenant.wait_connected(device.name)
    assert (device.stat(KEY).owner, device.stat(KEY).group) == ("tedge", "mosquitto")
    assert device.run("tedge cert status", check=False).exit_code == 0
