# SPDX-License-Identifier: Apache-2.0
"""A full or read-only file system below the confined unit: one line says so, no file is lost, and space cures it."""

from dataclasses import dataclass

import pytest

from system.device import Device
from system.renewer import CANDIDATE, CERTIFICATE, DIRECTORY, STATE, make_due, said, serial, start, wait_out
from tenant.client import Tenant

pytestmark = pytest.mark.one_release


@dataclass(frozen=True)
class Fault:
    """A fault of the disk at $P: the commands that cause it, its message, and the commands that cure it."""

    make: str
    reason: str
    advice: str
    mend: str


FAULTS = {
    "full": Fault(
        "dd if=/dev/zero of=$P/filler bs=4096 2>/dev/null; test $(stat --file-system --format=%a $P) = 0",
        "No space left on device",
        "free some space on that file system",
        "rm $P/filler",
    ),
    "read-only": Fault(
        "mount -o remount,ro $P",
        "Read-only file system",
        "the file system is read-only here: mount it writable",
        "mount -o remount,rw $P",
    ),
}
_MOUNT = """
mkdir /run/kept && cp -a $P/. /run/kept/
mount -t tmpfs -o size=256k,mode=755,uid=$(id -u tedge),gid=$(getent group mosquitto | cut -d: -f3) small $P
cp -a /run/kept/. $P/ && rm -r /run/kept
"""


def on_small_disk(device: Device, tenant: Tenant, path: str) -> str:
    """Put a small disk below a directory of a device that is due; return the serial of its certificate."""
    tenant.settings(lifetime_s=400 * 86_400)
    make_due(device)
    device.run(["sh", "-ec", _MOUNT], env={"P": path})
    return serial(tenant, device)


@pytest.mark.parametrize("name", FAULTS)
def test_certificates_cannot_be_written(connected: Device, tenant: Tenant, name: str) -> None:
    fault, place = FAULTS[name], {"P": DIRECTORY}
    old = on_small_disk(connected, tenant, DIRECTORY)
    before, files = connected.read(CERTIFICATE), connected.listing(DIRECTORY)
    connections = len(tenant.device(connected.name)["connections"])
    connected.run(fault.make, env=place)
    run = start(connected)
    assert run.outcome == "failed", run.lines
    errors = [
        each.message for each in run.entries if each.priority <= 3 and not each.by_manager and not each.message_id
    ]
    assert len(errors) == 1, errors
    assert errors[0].startswith(f"cannot write {DIRECTORY}/")
    assert fault.reason in errors[0]
    assert fault.advice in errors[0]
    assert connected.read(CERTIFICATE) == before
    # The bridge was not touched: it is the connection that it was.
    assert serial(tenant, connected) == old
    assert len(tenant.device(connected.name)["connections"]) == connections
    connected.run("mosquitto_sub -t 'te/device/main/service/mosquitto-c8y-bridge/status/health' -C 1 -W 5 | grep -qx 1")
    status = connected.run("tedge cert status", check=False)
    assert status.exit_code == 1
    assert fault.reason in status.stdout
    connected.run(fault.mend, env=place)
    assert connected.listing(DIRECTORY) == files
    wait_out(connected)
    run = start(connected)
    assert run.outcome == "success", run.lines
    tenant.wait_connected(connected.name, not_serial=old)
    assert not connected.exists(CANDIDATE)
    assert connected.run("tedge cert status", check=False).exit_code == 0


@pytest.mark.parametrize("name", FAULTS)
def test_the_result_cannot_be_kept(connected: Device, tenant: Tenant, name: str) -> None:
    # No renewal fails for its record: the certificate is new, and what could not be kept is a warning.
    fault, directory = FAULTS[name], STATE.rpartition("/")[0]
    old = on_small_disk(connected, tenant, directory)
    connected.run(fault.make, env={"P": directory})
    run = start(connected)
    assert run.outcome == "success", run.lines
    assert said(run, f"the result of this run is not kept: cannot write {STATE}: {fault.reason}"), run.lines
    assert said(run, fault.advice)
    assert not said(run, "this run was not reported"), run.lines
    tenant.wait_connected(connected.name, not_serial=old)
    new = serial(tenant, connected)
    connected.run(fault.mend, env={"P": directory})
    tenant.settings(lifetime_s=500 * 86_400)
    connected.run("tedge config set certificate.validity.minimum_duration 401d")
    run = start(connected)
    assert run.outcome == "success", run.lines
    tenant.wait_connected(connected.name, not_serial=new)
    assert connected.exists(STATE)
