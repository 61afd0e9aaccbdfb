# SPDX-License-Identifier: Apache-2.0
"""Steps killed at every system call that changes a file: the next run of the timer repairs the device by itself."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from faults.goodness import expect_good
from faults.hourly import CLEANUP, RENEW, VERIFY, Hour, Traced, hour, traced
from faults.record import Matrix
from tenant.client import Tenant
from unit.connected import certify, connect, issue, serial_of
from unit.local_device import LocalDevice

# So many tests share the calls of a step, to run beside each other.
PARTS = 4


def due(device: LocalDevice) -> None:
    certify(device)
    connect(device)


def with_candidate(device: LocalDevice) -> None:
    due(device)
    issue(device)


def with_bad_candidate(device: LocalDevice) -> None:
    due(device)
    issue(device, name="another-device")


def rejected(device: LocalDevice) -> None:
    with_bad_candidate(device)
    assert device.run(VERIFY).exit == 3


def unfinished(device: LocalDevice) -> None:
    certify(device)
    device.previous.write_bytes(device.certificate.read_bytes())
    issue(device, device.certificate)


def unfinished_and_refused(device: LocalDevice) -> None:
    unfinished(device)
    device.tenant.fault(where="mqtt", do="connack", code=5, serials=[serial_of(device.certificate)])


@dataclass(frozen=True)
class Step:
    """A step that is killed, and the device that it finds."""

    begin: Callable[[LocalDevice], None]
    words: str
    exit: int = 0
    variables: dict[str, str] = field(default_factory=dict)


STEPS = {
    "renew": Step(due, RENEW),
    "verify": Step(with_candidate, VERIFY),
    "verify that rejects": Step(with_bad_candidate, VERIFY, 3),
    "verify that finishes": Step(unfinished, VERIFY),
    "verify that undoes": Step(unfinished_and_refused, VERIFY, 3),
    "cleanup": Step(rejected, CLEANUP, 0, {"SERVICE_RESULT": "exit-code"}),
}
# Those of a renewal in which nothing goes wrong; `make test` kills these alone.
CLEAN = ("renew", "verify")


def fresh(tenant: Tenant, directory: Path, step: Step) -> LocalDevice:
    device = LocalDevice(directory / "device", tenant, f"{directory.parent.name}-{directory.name}")
    device.tenant.clear_faults()
    step.begin(device)
    return device


def run(device: LocalDevice, step: Step, number: int, when: str = "before") -> Traced:
    return traced(device, step.words, number, when, step.variables)


def kill(tenant: Tenant, directory: Path, step: Step, number: int, when: str) -> None:
    device = fresh(tenant, directory, step)
    try:
        killed = run(device, step, number, when)
        assert killed.result.exit == -signal.SIGKILL, killed.result
        assert len(killed.calls) == (number if when == "after" else number - 1)
        after = hour(device)
        context = f"killed {when} call {number} after {killed.calls[-1:]}: {[each.exit for each in after.steps]}"
        expect_good(device, f"{context}\n{after.said}")
        check_end(after, context)
    finally:
        device.stop_broker()


def check_end(after: Hour, context: str) -> None:
    """A run ends well, or had nothing to do; only one that had to reject or undo says so by its exit.

    Where the killed run had already recorded that, this one is held back: all is good, and the tenant is not asked.
    """
    codes = [each.exit for each in after.steps]
    if after.result == "exit-code" and not (codes == [255, 0] and "the authority is not asked before" in after.said):
        assert codes == [0, 0, 3, 0], f"{context}\n{after.said}"


@pytest.mark.row("Killed anywhere")
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[] if each in CLEAN else pytest.mark.whole) for each in STEPS]
)
def test_killed_anywhere(tenant: Tenant, tmp_path: Path, matrix: Matrix, name: str, part: int) -> None:
    step = STEPS[name]
    device = fresh(tenant, tmp_path / "clean", step)
    clean = run(device, step, 0)
    device.stop_broker()
    assert clean.result.exit == step.exit, clean.result
    whens = ("before", "after") if matrix.whole else ("before",)
    # After the last call is the end of the step, which the tests of the steps begin from.
    points = [(call.number, when) for call in clean.calls for when in whens]
    assert len(points) > PARTS
    for number, when in points[part::PARTS]:
        with matrix.case(f"{name}: {when} {clean.calls[number - 1]}"):
            kill(tenant, tmp_path / f"{number}-{when}", step, number, when)
