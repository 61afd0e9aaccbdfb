# SPDX-License-Identifier: Apache-2.0
"""User tedge is gone, which systemd takes for an hour with nothing to do: status shows it, and its cure works."""

from typing import Any

import pytest

from system.device import Device
from system.renewer import CERTIFICATE, DIRECTORY, KEY, SERVICE, make_due, serial, start
from system.test_status import status
from tenant.client import Tenant

pytestmark = pytest.mark.own_device

CURE = "systemd-sysusers && systemd-tmpfiles --create && tedge reconnect c8y"


def test_an_administrator_deletes_the_user(connected: Device, tenant: Tenant) -> None:
    old, before = serial(tenant, connected), connected.run("id -u tedge").stdout.strip()
    tenant.settings(lifetime_s=400 * 86_400)
    make_due(connected)
    connected.run("userdel tedge")
    expect_told(connected)
    # Its hour comes: systemd says that there was nothing to do.
    run = start(connected)
    assert (run.outcome, run.exit_code) == ("skipped", 0)
    expect_told(connected, ran=True)
    # The number goes to the next who comes, with all that the user owned.
    connected.run(f"useradd --system --uid {before} another-device")
    connected.run(CURE, timeout_s=120)
    assert connected.run("id -u tedge").stdout.strip() != before
    for path, mode in ((DIRECTORY, 0o755), (KEY, 0o640), (CERTIFICATE, 0o644)):
        facts = connected.stat(path)
        assert (facts.owner, facts.group, facts.mode) == ("tedge", "mosquitto", mode), path
    code, found = status(connected)
    assert (code, [each["cure"] for each in broken(found)]) == (2, [f"sudo systemctl start {SERVICE}"])
    run = start(connected)
    assert run.outcome == "success", run.lines
    tenant.wait_connected(connected.name, not_serial=old)
    assert status(connected)[0] == 0


def broken(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the problems, except the one about a threshold that makes any certificate due."""
    return [each for each in found["problems"] if each["rank"] == "broken"]


def expect_told(device: Device, *, ran: bool = False) -> None:
    for user in (None, "nobody"):
        code, found = status(device, user)
        assert code == 2
        assert ("217" in found["timer"]["not_started"] or "step USER" in found["timer"]["not_started"]) is ran
        told = broken(found)
        assert [each["cure"].replace("sudo ", "") for each in told] == [CURE], told
        assert "there is no user tedge" in told[0]["what"]
