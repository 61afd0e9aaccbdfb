# SPDX-License-Identifier: Apache-2.0
"""An image with a read-only root: /var is in memory, a partition has the directories of tedge-first-boot(7)."""

from pathlib import Path

import pytest

from system.device import Device
from system.machine import command
from system.onboarding import PASSWORD, STORED, TENANT, give
from system.renewer import CERTIFICATE, TIMER, expect_renewal
from system.test_first_boot import UNIT, expire, fresh, tenant
from tenant.client import Tenant

__all__ = ["fresh", "tenant"]

KEPT = ("/etc/tedge", "/var/lib/tedge-cert-renewer")
INCLUDE = "echo 'include_dir /etc/tedge/mosquitto-conf' >> /etc/mosquitto/mosquitto.conf"
ENABLE = f"systemctl enable {TIMER}"


@pytest.fixture
def read_only(fresh: Device, tenant: Tenant) -> Device:
    """The device, still off, with a password in the image and the rest from the container manager."""
    tree, container = fresh.container.tree, fresh.container
    container.options.append("--volatile=state")
    for path in KEPT:
        kept = tree.directory / "kept" / Path(path).name
        kept.parent.mkdir(exist_ok=True)
        command(tree.around(["cp", "-a", f"{tree.root}{path}", str(kept)]))
        container.options.append(f"--bind={kept}:{path}")
    give(fresh, "tedge.one-time-password", PASSWORD)
    container.credentials.update({"tedge.device-id": fresh.name, "tedge.c8y-url": TENANT})
    tenant.register(fresh.name, PASSWORD)
    return fresh


def test_an_image_that_is_prepared(read_only: Device, tenant: Tenant) -> None:
    device = read_only
    device.run(f"{INCLUDE}; {ENABLE}")
    device.boot()
    assert "Read-only" in device.run("touch /etc/x", check=False).stderr
    tenant.wait_connected(device.name, timeout_s=60)
    device.wait_for("test ! -e /var/lib/tedge-cert-renewer/c8y.registering")
    told = device.await_entry(lambda each: "is spent, but stays there" in each.message, after="", timeout_s=30)
    assert STORED in told.message
    assert PASSWORD not in "\n".join(each.message for each in device.journal())
    assert device.exists(STORED)
    assert device.state == "running"
    assert device.run("tedge cert status", check=False).exit_code == 0
    check_next_boot(device, tenant)
    # The password that stays in the image is of no use for a second life.
    expire(device, tenant)
    run = device.start_unit(UNIT)
    assert run.outcome == "failed"
    assert any("has been used already" in line for line in run.lines), run.lines


def check_next_boot(device: Device, tenant: Tenant) -> None:
    """Check that it has the same identity after a boot, and renews."""
    before = device.read(CERTIFICATE)
    connections = len(tenant.device(device.name)["connections"])
    device.reboot()
    tenant.wait_connected(device.name, connections=connections + 1)
    assert device.read(CERTIFICATE) == before
    assert device.state == "running"
    expect_renewal(device, tenant)


@pytest.mark.parametrize(
    ("prepared", "reason", "advice"),
    [
        (
            ENABLE,
            "cannot write /etc/mosquitto/conf.d/",
            "`include_dir /etc/tedge/mosquitto-conf` in /etc/mosquitto/mosquitto.conf",
        ),
        (INCLUDE, f"cannot enable {TIMER}", f"`sudo systemctl enable {TIMER}` when the image is made"),
    ],
    ids=["timer alone", "include alone"],
)
def test_an_image_that_is_not(read_only: Device, prepared: str, reason: str, advice: str) -> None:
    device = read_only
    device.run(prepared)
    device.boot()
    told = device.await_entry(lambda each: "tedge-first-boot(7)" in each.message, after="", timeout_s=60).message
    assert reason in told
    assert "Read-only file system" in told
    assert advice in told
    # The device has its certificate; a person gets the same message, and no file passes for a connection.
    done = device.run("tedge connect c8y", check=False)
    assert done.exit_code == 1
    assert told in done.stderr
    assert device.listing("/etc/tedge/mosquitto-conf") == []
    assert not [each for each in device.journal() if "Traceback" in each.message]
    assert device.run("systemctl is-active mosquitto").stdout.strip() == "active"
