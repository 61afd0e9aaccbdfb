# SPDX-License-Identifier: Apache-2.0
"""Reconnecting on a booted device: the broker is restarted only for changed settings, and the bridge stays."""

import pytest

from system.device import Device
from system.renewer import CANDIDATE, CERTIFICATE, PREVIOUS, TIMER, serial
from tenant.client import Tenant

BRIDGE = "/etc/tedge/mosquitto-conf/c8y-bridge.conf"
LIMIT_S = 200


def broker(device: Device) -> str:
    return device.unit("mosquitto.service", "MainPID")["MainPID"]


def spoil_service_manager(device: Device) -> None:
    """Let systemctl fail as it does when no manager answers."""
    device.run("mount --bind /bin/false $(readlink -f $(command -v systemctl))")


def mend_service_manager(device: Device) -> None:
    device.run("umount $(readlink -f $(command -v systemctl))")


def test_with_nothing_new_the_bridge_connects_once_more(connected: Device, tenant: Tenant) -> None:
    pid, before = broker(connected), connected.read(BRIDGE)
    watcher = connected.subscribe("#")
    done = connected.run("tedge reconnect c8y", timeout_s=LIMIT_S)
    assert done.stdout == ""
    assert "Reconnecting to Cumulocity:" in done.stderr
    assert (broker(connected), connected.read(BRIDGE)) == (pid, before)
    assert sum("CONNACK" in line for line in watcher.lines) == 1
    assert tenant.device(connected.name)["evictions"] == 1
    tenant.wait_connected(connected.name)


def test_a_candidate_becomes_the_certificate_without_a_restart(connected: Device, tenant: Tenant) -> None:
    old, pid = serial(tenant, connected), broker(connected)
    connected.run("tedge cert renew c8y")
    done = connected.run("tedge reconnect c8y", timeout_s=LIMIT_S)
    assert f"Validating new certificate: {CANDIDATE}... ✓\n" in done.stderr
    assert f"The new certificate is now the active certificate {CERTIFICATE}\n" in done.stderr
    assert tenant.wait_connected(connected.name)["serial"] != old
    assert (broker(connected), connected.exists(CANDIDATE), connected.exists(PREVIOUS)) == (pid, False, False)
    facts = connected.stat(CERTIFICATE)
    assert (facts.owner, facts.group, facts.mode) == ("tedge", "mosquitto", 0o644)


def test_a_rejected_candidate_stays_where_it_is(connected: Device, tenant: Tenant) -> None:
    old = serial(tenant, connected)
    connected.write(CANDIDATE, "garbage\n")
    done = connected.run("tedge reconnect c8y", check=False, timeout_s=LIMIT_S)
    assert done.exit_code == 3, done
    assert "connected, but not with the new certificate" in done.stderr
    assert connected.read(CANDIDATE) == "garbage\n"
    assert tenant.wait_connected(connected.name)["serial"] == old
    # Neither does the unit remove it, which has nothing to do with it.
    connected.systemctl("start", "tedge-cert-renewer@c8y.service")
    assert connected.read(CANDIDATE) == "garbage\n"


def test_a_changed_setting_restarts_the_broker_once(connected: Device, tenant: Tenant) -> None:
    pid = broker(connected)
    connected.run("tedge config add c8y.smartrest.templates one")
    after = connected.cursor()
    connected.run("tedge reconnect c8y", timeout_s=LIMIT_S)
    assert broker(connected) != pid
    assert "topic s/dc/one in 1" in connected.read(BRIDGE)
    starts = [each for each in connected.journal("mosquitto", after=after) if "Started" in each.message]
    assert len(starts) == 1
    tenant.wait_connected(connected.name)


def test_a_setting_that_does_not_connect_is_taken_back(connected: Device, tenant: Tenant) -> None:
    before = connected.read(BRIDGE)
    wrong = str(tenant.http_port)
    connected.run(f"tedge config set c8y.mqtt tenant.test:{wrong}")
    done = connected.run("tedge reconnect c8y", check=False, timeout_s=LIMIT_S)
    assert done.exit_code == 1, done
    assert f"{BRIDGE} is as it was" in done.stderr
    assert connected.read(BRIDGE) == before
    tenant.wait_connected(connected.name)
    connected.run(f"tedge config set c8y.mqtt tenant.test:{tenant.mqtt_port}")
    connected.run("tedge reconnect c8y", timeout_s=LIMIT_S)


def test_an_outage_leaves_all_as_it_is(connected: Device, tenant: Tenant) -> None:
    before, pid = connected.read(BRIDGE), broker(connected)
    connected.cut()
    done = connected.run("tedge reconnect c8y", check=False, timeout_s=LIMIT_S)
    assert done.exit_code == 1, done
    assert (connected.read(BRIDGE), broker(connected)) == (before, pid)
    assert connected.unit(TIMER, "ActiveState")["ActiveState"] == "active"
    connected.restore()
    tenant.wait_connected(connected.name, timeout_s=90)


def test_a_stopped_broker_is_started(connected: Device, tenant: Tenant) -> None:
    connected.systemctl("stop", "mosquitto.service")
    tenant.wait_disconnected(connected.name)
    connected.run("tedge reconnect c8y", timeout_s=LIMIT_S)
    tenant.wait_connected(connected.name)


def test_without_a_bridge_it_connects(connected: Device, tenant: Tenant) -> None:
    connected.run("tedge disconnect c8y")
    tenant.wait_disconnected(connected.name)
    connected.run("tedge reconnect c8y", timeout_s=LIMIT_S)
    tenant.wait_connected(connected.name)
    assert connected.unit(TIMER, "ActiveState")["ActiveState"] == "active"


def test_a_dead_service_manager(connected: Device, tenant: Tenant) -> None:
    """`reconnect` needs no service manager; other commands say what they could not do."""
    spoil_service_manager(connected)
    connected.run("tedge reconnect c8y", timeout_s=LIMIT_S)
    gone = connected.run("tedge disconnect c8y", check=False)
    assert (gone.exit_code, gone.stdout) == (1, "")
    assert f"{BRIDGE} is removed, but `systemctl" in gone.stderr
    again = connected.run("tedge connect c8y", check=False, timeout_s=LIMIT_S)
    assert (again.exit_code, again.stdout) == (1, "")
    assert f"enable --now {TIMER}` failed" in again.stderr
    assert not connected.exists(BRIDGE)
    mend_service_manager(connected)
    connected.run("tedge connect c8y", timeout_s=LIMIT_S)
    tenant.wait_connected(connected.name)


@pytest.mark.parametrize("missing", ["the directory that says so", "systemctl"])
def test_no_service_manager(connected: Device, tenant: Tenant, missing: str) -> None:
    """In a container, commands write files, name the other steps, and exit with 0."""
    if missing == "systemctl":
        hide, show = "mv /usr/bin/systemctl /root/systemctl", "mv /root/systemctl /usr/bin/systemctl"
    else:
        hide, show = "mount -t tmpfs none /run/systemd", "umount /run/systemd"
    connected.run(hide)
    connected.run("tedge reconnect c8y", timeout_s=LIMIT_S)
    gone = connected.run("tedge disconnect c8y")
    assert "restart mosquitto yourself" in gone.stderr
    assert connected.run("tedge disconnect c8y").stdout.startswith("Bridge doesn't exist.")
    back = connected.run("tedge connect c8y", timeout_s=LIMIT_S)
    assert "start mosquitto yourself" in back.stderr
    connected.run(show)
    connected.systemctl("restart", "mosquitto.service")
    tenant.wait_connected(connected.name)
    assert connected.run("tedge connect c8y --test").exit_code == 0
