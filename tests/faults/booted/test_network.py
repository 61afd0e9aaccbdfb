# SPDX-License-Identifier: Apache-2.0
"""The cable is pulled before, within and after each step of the unit; with the cable back, the next run ends well."""

import time
from collections.abc import Callable

import pytest

from faults.record import LostDeviceError, Matrix
from system.device import Device
from system.journal import Entry
from system.renewer import CANDIDATE, CERTIFICATE, KEY, PREVIOUS, SERVICE, STATE, make_due, start, wait_out
from tenant.client import Tenant

# The line after which the cable is pulled, in the order of the run; none: before it begins.
LINES = [
    "",
    ": renewing",
    "token received through the bridge",
    "new certificate ",
    "Validating new certificate",
    "is now the active certificate",
    "confirmed",
]


# What a person takes to put a cable back; a connection that waits for it meanwhile does not end.
PULLED_S = 2.0


@pytest.mark.one_release
@pytest.mark.row("Network")
def test_cut_for_a_moment_within_each_step(connected: Device, tenant: Tenant, matrix: Matrix) -> None:
    """The cable is out for a moment in each step of a run: this run or the next one ends well."""
    make_due(connected)
    tenant.settings(lifetime_s=400 * 86_400)
    after = connected.cursor()
    connected.systemctl("start", "--no-block", SERVICE)
    for line in LINES[1:-1]:
        connected.await_entry(_with(line), after=after, timeout_s=60)
        with matrix.case(f"cut for {PULLED_S} s after {line}"):
            connected.cut()
            time.sleep(PULLED_S)
            connected.restore()
    connected.await_entry(_is_over, after=after, timeout_s=200)
    wait_out(connected)
    run = start(connected)
    matrix.said("\n".join(each.message for each in connected.journal(SERVICE, after=after)))
    if run.outcome not in ("success", "skipped"):
        raise LostDeviceError("\n".join(run.lines))
    _is_good(connected, tenant)


@pytest.mark.row("Network")
@pytest.mark.whole
def test_cut_at_each_step(connected: Device, tenant: Tenant, matrix: Matrix) -> None:
    days = 365
    for line in LINES:
        # What there is is due, and what comes is not: so the run after the cut renews only what was not renewed.
        connected.run(f"tedge config set certificate.validity.minimum_duration {days + 1}d")
        days += 10
        tenant.settings(lifetime_s=days * 86_400)
        after = connected.cursor()
        with matrix.case(f"cut {'after ' + line if line else 'before the run'}"):
            if line:
                connected.systemctl("start", "--no-block", SERVICE)
                connected.await_entry(_with(line), after=after, timeout_s=60)
                connected.cut()
            else:
                connected.cut()
                connected.systemctl("start", "--no-block", SERVICE)
            connected.await_entry(_is_over, after=after, timeout_s=500)
            connected.restore()
            # A run that ended before it had a result left none.
            if connected.exists(STATE):
                wait_out(connected)
            run = start(connected, 600)
            matrix.said("\n".join(each.message for each in connected.journal(SERVICE, after=after)))
            if run.outcome not in ("success", "skipped"):
                raise LostDeviceError("\n".join(run.lines))
            _is_good(connected, tenant)


def _with(text: str) -> Callable[[Entry], bool]:
    return lambda entry: text in entry.message


def _is_over(entry: Entry) -> bool:
    return (
        entry.message.startswith(("Failed to start", "Finished"))
        and "thin-edge.io certificate renewer" in entry.message
    )


def _is_good(device: Device, tenant: Tenant) -> None:
    assert not device.exists(PREVIOUS)
    assert not device.exists(CANDIDATE)
    public = [
        device.run(f"openssl {words}").stdout
        for words in (f"x509 -in {CERTIFICATE} -noout -pubkey", f"pkey -in {KEY} -pubout")
    ]
    assert public[0] == public[1]
    shown = device.run(f"openssl x509 -in {CERTIFICATE} -noout -serial").stdout
    serial = str(int(shown.strip().partition("=")[2], 16))
    assert tenant.wait_connected(device.name, serial=serial, timeout_s=90)
