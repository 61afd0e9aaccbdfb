# SPDX-License-Identifier: Apache-2.0
"""Upgrades in each state of a device: running steps continue, and changed or disabled units stay so."""

from collections.abc import Callable
from pathlib import Path

import pytest

from system.device import Device
from system.installing import altered, another_version, install, installation
from system.journal import ENDS
from system.onboarding import connect
from system.renewer import SERVICE, TIMER, make_due, serial, start
from tenant.client import Tenant

pytestmark = pytest.mark.own_device

TOML = "/etc/tedge/tedge.toml"
DROP_IN = f"/etc/systemd/system/{SERVICE}.d/override.conf"
Upgrade = Callable[[Device], str]


@pytest.fixture
def upgrade(package: Path, tmp_path: Path) -> Upgrade:
    """Upgrade to a version higher than any before; what that said."""
    made: list[int] = []

    def to_the_next(device: Device) -> str:
        made.append(len(made))
        version = f"0.2.{90 + len(made)}~test"
        said = install(device, another_version(package, tmp_path, version)).stdout
        assert version in device.run("dpkg-query -W tedge-cert-renewer").stdout
        assert altered(device) == []
        return said

    return to_the_next


def timer(device: Device) -> dict[str, str]:
    return device.unit(TIMER, "ActiveState", "UnitFileState", "ActiveEnterTimestampMonotonic")


def test_upgrades_of_a_device(device: Device, tenant: Tenant, upgrade: Upgrade) -> None:
    before = timer(device)
    assert (before["ActiveState"], before["UnitFileState"]) == ("inactive", "disabled")
    upgrade(device)
    assert timer(device) == before
    assert device.listing("/etc/tedge/mosquitto-conf") == []
    connect(device, tenant)
    check_connected(device, tenant, upgrade)
    device.systemctl("disable", "--now", TIMER)
    upgrade(device)
    assert (timer(device)["ActiveState"], timer(device)["UnitFileState"]) == ("inactive", "disabled")
    assert device.state == "running"


def check_connected(device: Device, tenant: Tenant, upgrade: Upgrade) -> None:
    """Check that the device is connected, with its drop-in and its comments in tedge.toml."""
    device.run(f"printf '# mine\\n[mine]\\nkey = \"value\"\\n' >> {TOML}")
    device.write(DROP_IN, "[Service]\nExecStartPost=/usr/bin/touch /run/tedge-cert-renewer/renewed\n")
    device.systemctl("daemon-reload")
    text, before = device.read(TOML), timer(device)
    broker, connections = device.unit("mosquitto.service", "MainPID"), tenant.device(device.name)["connections"]
    upgrade(device)
    assert device.read(TOML) == text
    assert timer(device) == before
    assert before["ActiveState"] == "active"
    assert device.unit("mosquitto.service", "MainPID") == broker
    assert tenant.device(device.name)["connections"] == connections
    make_due(device)
    assert start(device).outcome == "success"
    assert device.exists("/run/tedge-cert-renewer/renewed")


def test_an_upgrade_waits_for_a_renewal_under_way(connected: Device, tenant: Tenant, upgrade: Upgrade) -> None:
    old = serial(tenant, connected)
    make_due(connected)
    after = connected.cursor()
    connected.systemctl("start", "--no-block", SERVICE)
    connected.await_entry(lambda entry: "proof:" in entry.message, after=after)
    upgrade(connected)
    entries = connected.journal(SERVICE, after=after)
    assert [ENDS[entry.message_id] for entry in entries if entry.message_id in ENDS] == ["success"]
    assert not [entry for entry in entries if "Traceback" in entry.message]
    assert tenant.wait_connected(connected.name, not_serial=old)
    assert connected.unit(TIMER, "ActiveState")["ActiveState"] == "active"


def test_nothing_is_unpacked_while_a_step_holds_its_lock(connected: Device, package: Path, tmp_path: Path) -> None:
    """It would import modules of two versions."""
    lock = next(name for name in connected.listing("/run/tedge-cert-renewer") if name.endswith(".lock"))
    step = connected.start(f"flock {lock} sh -c 'echo held; exec sleep infinity'")
    step.expect("held")
    upgrade = connected.start(installation(connected, another_version(package, tmp_path, "0.2.90~test")))
    upgrade.expect("Preparing to unpack")
    connected.wait_for("pgrep -f '[m] tedge_cert.disk.lock'")
    status = connected.run("dpkg-query -Wf '${db:Status-Status}' tedge-cert-renewer-common").stdout
    assert status == "half-installed"  # its scripts have been told
    assert "0.2.0" in connected.run("tedge --version").stdout  # its files are there
    step.stop()
    assert upgrade.wait(60) == 0
    assert not [line for line in upgrade.lines if "flock" in line]
