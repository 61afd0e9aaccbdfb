# SPDX-License-Identifier: Apache-2.0
"""A registration killed at every system call that changes a file: the unit reports it, and a repetition works."""

import signal
from pathlib import Path

import pytest

from faults.clock import ClockedDevice, ahead
from faults.goodness import expect_good
from faults.hourly import DOWNLOAD, Traced, hour, traced
from faults.record import Matrix
from tenant.client import Tenant
from unit.connected import certify
from unit.local_device import LocalDevice

PARTS = 4
PASSWORD = "one-time-password"


def registering(device: LocalDevice, again: bool, number: int = 0, when: str = "before") -> Traced:
    if again:
        certify(device)
    device.tenant.register(device.device_id, PASSWORD)
    words = DOWNLOAD.format(device.device_id)
    return traced(device, words, number, when, {"DEVICE_ONE_TIME_PASSWORD": PASSWORD})


def made(directory: Path, tenant: Tenant, name: str, behind: bool) -> LocalDevice:
    """A device, with a clock that is two hours ``behind`` if told to."""
    if not behind:
        return LocalDevice(directory, tenant, name)
    device = ClockedDevice(directory, tenant, name)
    device.clock = ahead(-7_200)
    return device


def kill(device: LocalDevice, again: bool, number: int, when: str) -> None:
    killed = registering(device, again, number, when)
    assert killed.result.exit == -signal.SIGKILL, killed.result
    if isinstance(device, ClockedDevice):
        device.clock = "+0"
    after = hour(device)
    if not device.certificate.exists():
        assert not again
        assert after.result == "exit-code"
        assert "tedge cert download" in after.said
        assert device.register(f"{PASSWORD}-2").exit == 0
        after = hour(device)
    expect_good(device, f"killed {when} call {number}\n{after.said}")


@pytest.mark.row("Killed anywhere")
@pytest.mark.whole
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(
    ("again", "behind"), [(False, False), (True, False), (False, True)], ids=["first", "again", "by a clock behind"]
)
def test_killed_while_registering(
    tenant: Tenant, tmp_path: Path, matrix: Matrix, again: bool, behind: bool, part: int
) -> None:
    name = f"registering-{again}-{behind}-{part}"
    clean = registering(made(tmp_path / "clean" / "device", tenant, name, behind), again)
    assert clean.result.exit == behind, clean.result
    points = [(call.number, when) for call in clean.calls for when in ("before", "after")]
    assert len(points) > PARTS
    for number, when in points[part::PARTS]:
        with matrix.case(f"{when} {clean.calls[number - 1]}"):
            kill(
                made(tmp_path / f"{number}-{when}" / "device", tenant, f"{name}-{number}-{when}", behind),
                again,
                number,
                when,
            )
