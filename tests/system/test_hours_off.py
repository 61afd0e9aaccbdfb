# SPDX-License-Identifier: Apache-2.0
"""A device that was off over the hour, and over the date of its renewal, is checked as soon as it is up again.

A container is switched off and its timer's stamp set back, which is all that systemd goes by. What cannot be had in a
container is a suspended machine: whether the timer fires at the resume is systemd's affair, its calendar timers being
on the wall clock (CLOCK_REALTIME, systemd.timer(5)), and is not tested here.
"""

import pytest

from system.device import Device
from system.renewer import SERVICE, TIMER, make_due, serial
from tenant.client import Tenant

pytestmark = pytest.mark.own_device

STAMP = f"/var/lib/systemd/timers/stamp-{TIMER}"


def test_a_device_that_was_off_runs_the_missed_hour_at_its_boot(connected: Device, tenant: Tenant) -> None:
    old = serial(tenant, connected)
    tenant.settings(lifetime_s=400 * 86_400)
    make_due(connected)
    # The spread of a fleet would let it come up to five minutes after the boot.
    connected.write(f"/etc/systemd/system/{TIMER}.d/50-test.conf", "[Timer]\nRandomizedDelaySec=0\n")
    connected.shutdown()
    before = connected.stat(STAMP)
    connected.run(f"touch -d '50 hours ago' {STAMP}")
    connected.boot()
    tenant.wait_connected(connected.name, not_serial=old, timeout_s=90)
    connected.wait_for(f"! systemctl is-active {SERVICE} | grep -q activating")
    started = [each for each in connected.journal(SERVICE) if each.message.startswith("Finished ")]
    assert len(started) == 1
    after = connected.stat(STAMP)
    assert (after.owner, after.group, after.mode) == (before.owner, before.group, before.mode)
    assert after.modified_s >= before.modified_s
    # And goes on by the hour.
    assert connected.unit(TIMER, "ActiveState")["ActiveState"] == "active"
