# SPDX-License-Identifier: Apache-2.0
"""Installing, connecting and removing the package, as an operator types it."""

from pathlib import Path

import pytest

from system.device import Device
from system.devices import Devices
from system.installing import install
from system.onboarding import configure, connect, register
from system.renewer import CERTIFICATE, DIRECTORY, KEY, SERVICE, TIMER
from tenant.client import Tenant

LINKS = "ls /etc/mosquitto/conf.d"


def test_package_installs_from_the_archive_and_leaves_nothing_failed(devices: Devices, package: Path) -> None:
    device = devices.boot("archive")
    install(device, package)
    assert device.state == "running"
    assert device.run("id -un tedge; id -gn tedge").stdout.split() == ["tedge", "tedge"]
    facts = device.stat(DIRECTORY)
    assert (facts.owner, facts.group, facts.mode) == ("tedge", "mosquitto", 0o755)
    facts = device.stat("/run/tedge-cert-renewer")
    assert (facts.owner, facts.group, facts.mode) == ("tedge", "mosquitto", 0o755)
    enabled = device.run("systemctl list-unit-files --state=enabled --no-legend 'tedge*'", check=False).stdout
    assert enabled == ""
    assert device.run("find /usr/lib/tedge-cert-renewer -path '*/hourly/*' -name 'memo*.pyc'").stdout.strip(), (
        "not byte-compiled"
    )
    assert device.run("tedge cert show", check=False).exit_code == 1


def test_units_are_sound(device: Device) -> None:
    verified = device.run(f"systemd-analyze verify --man=no {SERVICE} {TIMER} 2>&1", check=False)
    assert not [line for line in verified.stdout.splitlines() if "tedge" in line], verified.stdout
    shown = device.run(f"systemctl cat {SERVICE}").stdout
    lines = [line.split("=")[0] for line in shown.splitlines() if line.startswith("Exec")]
    assert lines == ["ExecCondition", "ExecStartPre", "ExecStart", "ExecStopPost"]
    assert "/bin/sh" not in shown


def test_nothing_in_the_unit_can_fail_before_its_first_program(device: Device) -> None:
    # What fails there is "skipped" to systemd, and a device expires in silence.
    facts = device.unit(
        SERVICE, "PrivateUsers", "StateDirectory", "RuntimeDirectory", "LoadCredential", "ReadWritePaths"
    )
    assert facts["PrivateUsers"] == "no"
    assert not facts["StateDirectory"] + facts["RuntimeDirectory"]
    assert all(path.startswith("-") for path in facts["ReadWritePaths"].split())
    device.run("rm -r /run/tedge-cert-renewer /etc/tedge/device-certs")
    run = device.start_unit(SERVICE)
    assert run.outcome == "failed"
    assert any("there is no such file" in line for line in run.lines), run.lines


def test_registration_gives_files_their_owners(device: Device, tenant: Tenant) -> None:
    configure(device, tenant)
    tenant.register("device-1", "otp-0123456789")
    done = device.run("tedge cert download c8y --device-id device-1 --one-time-password otp-0123456789")
    assert done.stdout.splitlines()[1] == "Subject:       CN=device-1, O=Thin Edge, OU=Device"
    assert "otp-0123456789" not in done.stderr
    shown = device.run("tedge cert show").stdout
    assert [line for line in done.stdout.splitlines() if "Status:" not in line] == [
        line for line in shown.splitlines() if "Status:" not in line
    ]
    for path, mode in ((KEY, 0o640), (CERTIFICATE, 0o644)):
        facts = device.stat(path)
        assert (facts.owner, facts.group, facts.mode) == ("tedge", "mosquitto", mode), path
    assert device.listing(DIRECTORY) == sorted([CERTIFICATE, KEY, f"{DIRECTORY}/tedge.csr"])
    assert device.run("tedge config get device.id").stdout == "device-1\n"


def test_wrong_password_is_retried_and_leaves_no_certificate(device: Device, tenant: Tenant) -> None:
    configure(device, tenant)
    tenant.register("device-1", "otp-0123456789")
    command = "tedge cert download c8y --device-id device-1 -p wrong-password --retry-every 1s --max-timeout 3s"
    done = device.run(command, check=False)
    assert done.exit_code == 1
    assert sum(each["path"].endswith("/simpleenroll") for each in tenant.state()["requests"]) >= 2
    assert "not registered yet; asking again in 1 s" in done.stderr
    assert "sudo tedge cert download c8y --device-id device-1" in done.stderr
    assert "wrong-password" not in done.stderr
    assert not device.exists(CERTIFICATE)


def test_tenant_that_is_not_set_is_named_with_the_command(device: Device) -> None:
    done = device.run("tedge cert download c8y --device-id device-1 -p 0123456789", check=False)
    assert done.exit_code == 1
    assert "tedge config set c8y.url" in done.stderr


def test_connect_starts_bridge_and_timer_and_disconnect_ends_both(device: Device, tenant: Tenant) -> None:
    connect(device, tenant)
    assert device.run(f"systemctl is-enabled {TIMER}; systemctl is-active {TIMER}").stdout.split() == [
        "enabled",
        "active",
    ]
    assert TIMER in device.run("systemctl list-timers --no-pager").stdout
    again = device.run("tedge connect c8y", check=False)
    assert again.exit_code == 1
    assert "already connected" in again.stderr
    assert device.run("tedge connect c8y --test").stdout == ""
    assert len(device.run(LINKS).stdout.split()) == 3  # two of ours and Debian's README
    done = device.run("tedge disconnect c8y")
    assert done.stdout == ""
    assert device.run(f"systemctl is-active {TIMER}", check=False).stdout.strip() == "inactive"
    assert device.run("systemctl is-active mosquitto").stdout.strip() == "active"
    tenant.wait_disconnected(device.name)
    assert device.run("tedge connect c8y --test", check=False).exit_code == 1
    done = device.run("tedge disconnect c8y")
    assert done.stdout == "Bridge doesn't exist. Device is already disconnected from Cumulocity.\n"


def test_broker_that_does_not_start_gets_its_configuration_back(device: Device, tenant: Tenant) -> None:
    configure(device, tenant)
    register(device, tenant)
    device.run("tedge config set mqtt.bind.address 192.0.2.1")
    done = device.run("tedge connect c8y", check=False, timeout_s=120)
    assert done.exit_code == 1
    assert "error: mosquitto does not start: Error: Cannot assign requested address; " in done.stderr
    assert device.run(LINKS).stdout.split() == ["README"]
    assert device.listing("/etc/tedge/mosquitto-conf") == []
    assert device.run("systemctl is-active mosquitto").stdout.strip() == "active"
    assert device.run(f"systemctl is-active {TIMER}", check=False).stdout.strip() == "inactive"


def test_interrupted_connect_leaves_no_device_that_nobody_renews(device: Device, tenant: Tenant) -> None:
    configure(device, tenant)
    register(device, tenant)
    connecting = device.start("script -qec 'tedge connect c8y' /dev/null")
    connecting.expect("Restarting mosquitto")
    device.run("pkill -KILL -f tedge-connect", check=False)
    connecting.stop()
    assert device.run(f"systemctl is-enabled {TIMER}").stdout.strip() == "enabled"


@pytest.mark.own_device
def test_timer_and_connection_come_back_after_a_boot(connected: Device, tenant: Tenant) -> None:
    connected.reboot()
    tenant.wait_connected(connected.name, connections=2)
    assert connected.run(f"systemctl is-active {TIMER}").stdout.strip() == "active"
