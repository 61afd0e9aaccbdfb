# SPDX-License-Identifier: Apache-2.0
"""What a service manager and a package manager do in the middle of a renewal; the next run of the timer goes on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from faults.record import LostDeviceError, Matrix
from system.debs import with_common
from system.device import Device
from system.renewer import CANDIDATE, CERTIFICATE, KEY, PREVIOUS, SERVICE, STATE, TIMER, make_due, start, wait_out
from tenant.client import Tenant

DEBS = "/root/packages"
# A step is caught while the tenant does not answer it.
SILENT = {
    "start-pre": {"where": "est", "do": "silence", "times": 1},
    "start": {"where": "mqtt", "do": "no-puback", "times": 1},
}


def reinstall(device: Device) -> None:
    device.run(f"dpkg -i {DEBS}/*.deb", timeout_s=200)


def remove_and_install(device: Device) -> None:
    device.run("dpkg -r tedge-cert-renewer", timeout_s=200)
    assert device.unit(SERVICE, "ActiveState")["ActiveState"] != "activating"
    reinstall(device)


def power_cut(device: Device) -> None:
    device.power_cut()
    device.boot()


def suspend(device: Device) -> None:
    """Longer than any wait of the step: it goes on with all its deadlines passed."""
    device.systemctl("kill", "--signal=STOP", SERVICE)
    device.run("sleep 65", timeout_s=100)
    device.systemctl("kill", "--signal=CONT", SERVICE)


EVENTS: dict[str, Callable[[Device], object]] = {
    "systemctl stop": lambda device: device.systemctl("stop", SERVICE),
    "systemctl restart of the timer": lambda device: device.systemctl("restart", TIMER),
    "systemctl kill": lambda device: device.systemctl("kill", "--signal=KILL", SERVICE),
    "reboot": lambda device: device.reboot(),
    "power cut": power_cut,
    "reinstallation": reinstall,
    "removal and installation": remove_and_install,
    "suspend": suspend,
}
QUICK = ("systemctl stop", "reinstallation")
# After these the device is not the one that was booted, or its package was unpacked once more.
OWN = ("reboot", "power cut", "reinstallation", "removal and installation")
NAMES = [
    pytest.param(
        each,
        marks=[*([] if each in QUICK else [pytest.mark.whole]), *([pytest.mark.own_device] if each in OWN else [])],
    )
    for each in EVENTS
]


def expect_good(device: Device, tenant: Tenant, context: object) -> None:
    """A pair that the tenant accepts, the bridge up with it, and nothing left of a run."""
    pair = device.run(f"openssl x509 -noout -pubkey -in {CERTIFICATE}; openssl pkey -pubout -in {KEY}").stdout
    serial = int(device.run(f"openssl x509 -noout -serial -in {CERTIFICATE}").stdout.partition("=")[2], 16)
    left = [each for each in (CANDIDATE, PREVIOUS) if device.exists(each)]
    left += device.run("find /etc/tedge /run/tedge-cert-renewer -name '*.tmp'").stdout.split()
    if pair[: len(pair) // 2] != pair[len(pair) // 2 :] or left:
        raise LostDeviceError(f"{pair}\n{left}\n{context}")
    tenant.wait_connected(device.name, serial=str(serial))


@pytest.mark.row("Services")
@pytest.mark.parametrize("step", SILENT)
@pytest.mark.parametrize("name", NAMES)
def test_in_the_middle_of_a_run(
    connected: Device, tenant: Tenant, package: Path, matrix: Matrix, name: str, step: str
) -> None:
    connected.run(f"mkdir {DEBS}")
    for each in with_common(package):
        connected.copy_in(each, f"{DEBS}/{each.name}")
    tenant.settings(lifetime_s=400 * 86_400)
    make_due(connected)
    tenant.fault(**SILENT[step])
    connected.systemctl("start", "--no-block", SERVICE)
    connected.wait_for(f"test $(systemctl show -P SubState {SERVICE}) = {step}", 60)
    EVENTS[name](connected)
    tenant.clear_faults()
    # Some of these let the run go on.
    connected.wait_for(f"! systemctl show -P ActiveState {SERVICE} | grep -qE '^(de)?activating'", 200)
    if connected.exists(STATE):
        # The run that was let go on met the fault: the next one comes after a pause.
        wait_out(connected)
    run = start(connected)
    matrix.said("\n".join(each.message for each in connected.journal()))
    assert run.outcome in ("success", "skipped"), run.lines
    expect_good(connected, tenant, run.lines)


@pytest.mark.row("Services")
@pytest.mark.whole
def test_two_profiles_of_one_certificate_at_once(connected: Device, tenant: Tenant, matrix: Matrix) -> None:
    second = "tedge-cert-renewer-c8y@second.service"
    for key in ("url", "http", "mqtt"):
        value = connected.run(f"tedge config get c8y.{key}").stdout.strip()
        connected.run(f"tedge config set c8y.{key} {value} --profile second")
    tenant.settings(lifetime_s=400 * 86_400)
    make_due(connected)
    for _ in range(3):
        connected.systemctl("start", "--no-block", SERVICE, second)
        for unit in (SERVICE, second):
            connected.wait_for(f"! systemctl show -P ActiveState {unit} | grep -qE '^(de)?activating'", 300)
        expect_good(connected, tenant, matrix.said("\n".join(map(str, connected.journal(second)))))
