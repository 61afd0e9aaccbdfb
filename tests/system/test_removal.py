# SPDX-License-Identifier: Apache-2.0
"""Removing, purging and installing again; images; machines without a broker."""

from pathlib import Path

import pytest

from system.device import Device
from system.devices import Devices
from system.installing import altered, install, remove
from system.onboarding import connect
from system.renewer import CERTIFICATE, DIRECTORY, KEY, SERVICE, TIMER, start
from tenant.client import Tenant

pytestmark = pytest.mark.own_device

CONF_D = "ls /etc/mosquitto/conf.d"
OURS = "/etc/tedge/mosquitto-conf"
LINK = f"/etc/systemd/system/timers.target.wants/{TIMER}"
MAIN = "/etc/mosquitto/mosquitto.conf"


def broker_starts(device: Device) -> bool:
    device.systemctl("reset-failed", "mosquitto.service")  # these tests restart it more often than systemd lets anybody
    return device.systemctl("restart", "mosquitto.service", check=False).exit_code == 0


def check_in(device: Device, tenant: Tenant) -> None:
    """The device is connected and looked after, as after `tedge connect`."""
    tenant.wait_connected(device.name)
    assert device.unit(TIMER, "ActiveState")["ActiveState"] == "active"
    assert start(device).outcome == "skipped"
    assert altered(device) == []


def test_removed_installed_again_and_purged(connected: Device, tenant: Tenant, package: Path) -> None:
    device = connected
    assert altered(device) == []
    device.write("/etc/mosquitto/conf.d/90-tedge-mine.conf", "# an administrator's\n")
    assert remove(device).stdout.count("This disconnects the device: ") == 1
    assert device.exists(KEY)
    assert device.unit(TIMER, "ActiveState")["ActiveState"] == "inactive"
    tenant.wait_disconnected(device.name)
    assert device.run(CONF_D).stdout.split() == ["90-tedge-mine.conf", "README"]
    assert broker_starts(device)
    assert altered(device) == []
    install(device, package)
    check_in(device, tenant)
    assert remove(device, "purge").stdout.count(f"Kept: {DIRECTORY}, with the key and certificate") == 1
    assert not device.exists("/etc/tedge-cert-renewer")
    assert device.run(CONF_D).stdout.split() == ["90-tedge-mine.conf", "README"]
    assert broker_starts(device)
    left = device.run("find /etc/tedge /run/tedge-cert-renewer /var/lib/tedge-cert-renewer", check=False).stdout
    assert sorted(left.split()) == sorted(["/etc/tedge", DIRECTORY, *device.listing(DIRECTORY)])
    assert {CERTIFICATE, KEY} <= set(device.listing(DIRECTORY))
    assert device.run("id -un tedge").stdout == "tedge\n"
    assert device.run("find /etc/systemd /var/lib/systemd -name '*tedge-cert*'").stdout == ""
    assert device.state == "running"
    assert altered(device) == []


def test_where_the_broker_includes_our_directory(device: Device, tenant: Tenant, package: Path) -> None:
    device.run(f"sed -i '1i include_dir {OURS}' {MAIN}")
    connect(device, tenant)
    assert device.run(CONF_D).stdout.split() == ["README"]
    device.run("tedge disconnect c8y")
    assert broker_starts(device)
    device.run("tedge connect c8y", timeout_s=120)
    remove(device)
    assert broker_starts(device)
    remove(device, "purge")
    assert device.listing(OURS) == []
    assert broker_starts(device)


def test_a_disconnected_device_has_nothing_altered(connected: Device) -> None:
    connected.run("tedge disconnect c8y")
    assert altered(connected) == []
    assert broker_starts(connected)
    remove(connected)
    assert broker_starts(connected)
    remove(connected, "purge")
    assert broker_starts(connected)


def test_without_a_broker(devices: Devices, package: Path) -> None:
    """Neither the installation nor the unit needs one; the account of its group is made."""
    device = devices.boot("archive")
    device.run("apt-get -q -y purge mosquitto mosquitto-clients 2>&1; delgroup mosquitto || true", timeout_s=100)
    install(device, package)
    assert device.state == "running"
    facts = device.stat(DIRECTORY)
    assert (facts.owner, facts.group) == ("tedge", "mosquitto")
    run = start(device)
    assert run.outcome == "failed", run.entries
    assert any("there is no such file" in line for line in run.lines), run.lines
    remove(device, "purge")
    assert not device.exists("/etc/tedge")


def test_in_an_image_that_is_built(devices: Devices, package: Path) -> None:
    """Nothing is started in a chroot; a connection that the image brings is looked after from the first boot on."""
    device = devices.make("dependencies")
    device.write(f"{OURS}/c8y-bridge.conf", "connection edge_to_c8y\naddress tenant.test:8883\ntopic x out 1\n")
    device.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", mode=0o755)
    install(device, package)
    device.run("rm /usr/sbin/policy-rc.d")
    assert device.exists(LINK)
    assert device.exists("/etc/mosquitto/conf.d/50-tedge-c8y-bridge.conf")
    device.boot()
    assert device.state == "running"
    assert device.unit(TIMER, "ActiveState")["ActiveState"] == "active"
    assert device.unit(SERVICE, "ActiveState")["ActiveState"] != "active"
