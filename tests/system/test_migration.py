# SPDX-License-Identifier: Apache-2.0
"""A device with thin-edge's own packages gets ours, their leftovers are removed, and it goes back to theirs."""

from pathlib import Path

import pytest

from system import thin_edge
from system.debs import BESIDE, sibling
from system.device import Device
from system.devices import Devices
from system.installing import install, remove
from system.renewer import CERTIFICATE, DIRECTORY, KEY, TIMER, make_due, serial, start
from tenant.client import Tenant

COPY = "/var/backups/tedge-cert-renewer"
PIN_FILE = "/etc/tedge/gateway-pin"


@pytest.fixture
def theirs(devices: Devices, tmp_path: Path) -> list[Path]:
    return thin_edge.build(tmp_path / "theirs")


def access(device: Device, path: str) -> tuple[str, str, int]:
    facts = device.stat(path)
    return facts.owner, facts.group, facts.mode


def test_taken_over_purged_and_back(before: tuple[Device, Tenant], package: Path, theirs: list[Path]) -> None:
    device, tenant = before
    thin_edge.connect(device, tenant)
    device.write(PIN_FILE, "471100\n", mode=0o600)
    check_takeover(device, tenant, package)
    check_their_purge(device, tenant, package)
    check_way_back(device, tenant, theirs)
    check_beside(device, tenant, package)


def test_the_bridge_of_the_mapper_becomes_that_of_mosquitto(before: tuple[Device, Tenant], package: Path) -> None:
    device, tenant = before
    thin_edge.register(device, tenant)
    device.write(thin_edge.BRIDGE, "# This file is left empty as the built-in bridge is enabled\n")
    said = install(device, package).stdout
    assert f"{thin_edge.BRIDGE} holds no bridge" in said
    device.run("tedge reconnect c8y", timeout_s=120)
    tenant.wait_connected(device.name)
    assert device.run(f"systemctl is-active {TIMER}").stdout == "active\n"


def test_settings_of_years_ago_act_after_the_takeover(before: tuple[Device, Tenant], package: Path) -> None:
    device, tenant = before
    thin_edge.connect(device, tenant)
    settings = "/etc/tedge/tedge.toml"
    old = 'smartrest_templates = ["press"]\n[mqtt]\nexternal_port = 8884\nexternal_bind_address = "127.0.0.1"\n'
    device.write(settings, device.read(settings) + old, owner="tedge:tedge")
    install(device, package)
    device.run("tedge disconnect c8y && tedge connect c8y", timeout_s=120)
    tenant.wait_connected(device.name)
    device.run("mosquitto_pub -h 127.0.0.1 -p 8884 -t machines/press -m running")
    # The tenant refuses to publish what the bridge has not subscribed to.
    tenant.publish(device.name, "s/dc/press", "10,start")
    assert device.read(settings).endswith(old)


def check_takeover(device: Device, tenant: Tenant, package: Path) -> None:
    broker, before = device.unit("mosquitto.service", "MainPID"), serial(tenant, device)
    said = install(device, package)
    assert COPY in said.stdout
    assert "/etc/sudoers.d/tedge lets user tedge run" in said.stdout
    assert not device.exists("/lib/systemd/system/tedge-mapper-c8y.service")
    assert access(device, KEY) == ("tedge", "mosquitto", 0o640)
    assert access(device, CERTIFICATE) == ("tedge", "mosquitto", 0o644)
    assert access(device, DIRECTORY) == ("tedge", "mosquitto", 0o755)
    assert access(device, "/etc/tedge") == ("root", "root", 0o755)
    assert access(device, thin_edge.BRIDGE) == ("root", "root", 0o644)
    assert access(device, COPY) == ("root", "root", 0o700)
    assert device.run(f"systemctl is-enabled {TIMER}; systemctl is-active {TIMER}").stdout.split() == [
        "enabled",
        "active",
    ]
    make_due(device)
    run = start(device)
    assert run.outcome == "success", run.lines
    tenant.wait_connected(device.name, not_serial=before)
    # The one interruption was that of the renewal.
    assert device.unit("mosquitto.service", "MainPID") == broker
    assert len(tenant.device(device.name)["connections"]) == 3
    assert device.read("/etc/tedge/tedge.toml").startswith("# as thin-edge wrote it\n")


def check_their_purge(device: Device, tenant: Tenant, package: Path) -> None:
    remove(device, "purge", "tedge tedge-mapper")
    assert not device.exists("/etc/tedge")
    lost = device.run("tedge reconnect c8y", check=False)
    assert (lost.exit_code, lost.stdout) == (1, "")
    assert "there is no user tedge" in lost.stderr
    assert "apt install --reinstall tedge-cert-renewer" in lost.stderr
    assert not device.exists("/etc/tedge")
    # A directory of tedge's is no place where root copies to: tedge could put a link there.
    device.run("mv /usr/bin/cp /usr/bin/real-cp")
    copying = f'stat -c %U {DIRECTORY} >>/run/found 2>&1\nexec /usr/bin/real-cp "$@"'
    device.write("/usr/bin/cp", f"#!/bin/sh\n{copying}\n", mode=0o755)
    said = install(device, package, reinstall=True)
    assert "Putting back" in said.stdout
    assert "No such file" in device.read("/run/found").splitlines()[-1]
    device.run("mv /usr/bin/real-cp /usr/bin/cp")
    assert access(device, KEY) == ("tedge", "mosquitto", 0o640)
    assert (device.read(PIN_FILE), access(device, PIN_FILE)) == ("471100\n", ("root", "root", 0o600))
    assert not device.exists(COPY)
    device.run("tedge reconnect c8y", timeout_s=120)
    device.systemctl("restart", "mosquitto.service")
    tenant.wait_connected(device.name)
    device.run("tedge connect c8y --test")
    assert start(device).outcome == "skipped"  # the copy is from before the threshold was raised


def check_way_back(device: Device, tenant: Tenant, theirs: list[Path]) -> None:
    install(device, *theirs)
    assert device.run("ls /etc/mosquitto/conf.d").stdout.split() == ["README"]
    device.systemctl("restart", "mosquitto.service")
    tenant.wait_connected(device.name)
    assert device.unit(TIMER, "ActiveState", "Description") == {"ActiveState": "active", "Description": "their timer"}
    remove(device, "purge")
    for path in (KEY, thin_edge.BRIDGE, "/etc/tedge/tedge.toml"):
        assert device.exists(path)


def check_beside(device: Device, tenant: Tenant, package: Path) -> None:
    """The device keeps thin-edge's packages now, and gets ours beside them."""
    old = serial(tenant, device)
    install(device, sibling(package, BESIDE))
    thin_edge.make_due(device, tenant)
    run = start(device)
    assert run.outcome == "success", run.lines
    tenant.wait_connected(device.name, not_serial=old)
