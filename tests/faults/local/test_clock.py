# SPDX-License-Identifier: Apache-2.0
"""A wrong clock: commands say so, judge and remove nothing, and work again with the right time."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faults.answers import whole_directory
from faults.clock import ClockedDevice, ahead, at
from faults.goodness import expect_good
from faults.hourly import CONDITION, DOWNLOAD, RENEW, VERIFY, hour
from faults.record import Matrix
from tenant.client import Tenant
from unit.connected import certify, connect, issue, serials

pytestmark = pytest.mark.row("Time")
YEAR_S = 365 * 86_400
# Before the package was made, before the certificate begins, and later than anybody uses this version.
WRONG = {"1970": at(1970), "a year behind": ahead(-YEAR_S), "an hour behind": ahead(-3_600), "2100": at(2100)}
NAMED = re.compile(r"(error: )?the clock is wrong: [^\n]+[;:] set it [^\n]+\n")


@pytest.fixture
def device(tenant: Tenant, tmp_path: Path) -> Iterator[ClockedDevice]:
    """A connected device whose certificate began just now, and is due."""
    made = ClockedDevice(tmp_path / "device", tenant, tmp_path.name.replace("_", "-"))
    certify(made, not_before_offset_s=0)
    connect(made)
    yield made
    made.stop_broker()


@pytest.mark.parametrize("clock", WRONG)
def test_a_registration_by_a_wrong_clock(tenant: Tenant, tmp_path: Path, matrix: Matrix, clock: str) -> None:
    """A clock that is wrong spends no password, and leaves nothing behind."""
    device = ClockedDevice(tmp_path / "device", tenant, tmp_path.name.replace("_", "-"))
    words = DOWNLOAD.format(device.device_id)
    device.variables = {"DEVICE_ONE_TIME_PASSWORD": "one-time-password"}
    tenant.register(device.device_id, "one-time-password")
    device.clock = WRONG[clock]
    with matrix.case(f"{clock}: registering, twice"):
        for _ in range(2):
            done = device.run(words)
            assert (done.exit, done.stdout) == (1, "")
            last = matrix.said(done.stderr).splitlines()[-1]
            assert "the clock is wrong" in last
            assert NAMED.fullmatch(f"{last}\n")
        assert list(device.certificate.parent.iterdir()) == []
        assert tenant.device(device.device_id)["issued"] == []
    with matrix.case(f"{clock}: the unit meanwhile"):
        assert hour(device).result == "exit-code"
    with matrix.case(f"{clock}: registering when the clock is right"):
        device.clock = "+0"
        done = device.run(words)
        assert done.exit == 0, matrix.said(done.stderr)
        assert len(tenant.device(device.device_id)["issued"]) == 1
        assert hour(device).result == "exec-condition"
        expect_good(device, done.stderr)


# What `timedatectl show` does; without D-Bus it fails.
ANSWERS = {
    "not synchronised": "echo NTPSynchronized=no",
    "not known whether it is synchronised": "exit 1",
    "synchronised": "echo NTPSynchronized=yes",
}
SHOWN = [
    "not synchronised",
    *(pytest.param(each, marks=pytest.mark.whole) for each in list(ANSWERS)[1:]),
]


@pytest.mark.parametrize("shown", SHOWN)
def test_no_synchronisation_yet(device: ClockedDevice, tmp_path: Path, matrix: Matrix, shown: str) -> None:
    """Synchronisation does not matter: a device may have its time from another source."""
    program = tmp_path / "timedatectl"
    program.write_text(f"#!/bin/sh\n{ANSWERS[shown]}\n")
    program.chmod(0o755)
    device.variables = {"TIMEDATECTL_DIRECTORY": str(tmp_path), "PATH": "/nonexistent"}
    candidate = issue(device)
    before = whole_directory(device.directory)
    with matrix.case(f"{shown}: status"):
        row = next(line for line in device.run("tedge-cert-status c8y").stdout.splitlines() if "Clock:" in line)
        assert row.split(":", 1)[1].strip().startswith(shown)
    with matrix.case(f"{shown}: a clock that is wrong is wrong by the certificate"):
        device.clock = WRONG["an hour behind"]
        run = hour(device)
        assert run.result == "exit-code"
        assert NAMED.search(matrix.said(run.said)), run.said
        assert whole_directory(device.directory) == before
    with matrix.case(f"{shown}: a certificate that is due is renewed"):
        device.clock = "+0"
        run = hour(device)
        assert run.result == "success", run.said
        assert serials(device) == (candidate, None, None)
    with matrix.case(f"{shown}: one that is not due is left alone"):
        assert hour(device).result == "exec-condition"
        expect_good(device, run.said)


@contextmanager
def jump(device: ClockedDevice, after_s: float, offset: str) -> Iterator[None]:
    """Set the clock in the middle of what is done meanwhile."""
    timer = threading.Timer(after_s, lambda: setattr(device, "clock", offset))
    timer.start()
    yield
    timer.join()


@pytest.mark.parametrize("clock", WRONG)
def test_a_wrong_clock_is_named_and_judges_nothing(device: ClockedDevice, matrix: Matrix, clock: str) -> None:
    candidate = issue(device)
    before = whole_directory(device.directory)
    device.clock = WRONG[clock]
    for words, code in {CONDITION: 255, RENEW: 1, VERIFY: 1}.items():
        with matrix.case(f"{clock}: {words}"):
            done = device.run(words)
            assert done.exit == code, done
            assert NAMED.search(matrix.said(done.stderr)), done
            assert whole_directory(device.directory) == before
    with matrix.case(f"{clock}: the unit, and again when the clock is right"):
        # Twice: what the first run leaves is not held against the second.
        for _ in range(2):
            assert hour(device).result == "exit-code"
        assert whole_directory(device.directory) == before
        device.clock = "+0"
        run = hour(device)
        assert run.result == "success", run.said
        assert serials(device) == (candidate, None, None)
        expect_good(device, run.said)


@pytest.mark.whole
@pytest.mark.parametrize("clock", WRONG)
def test_a_wrong_clock_and_a_switch_that_is_unfinished(device: ClockedDevice, matrix: Matrix, clock: str) -> None:
    """An unfinished switch is finished or undone with any clock, independent of its time."""
    device.certificate.rename(device.previous)
    issue(device, device.certificate)
    device.clock = WRONG[clock]
    with matrix.case(f"{clock}: an unfinished switch"):
        assert device.run(CONDITION).exit == 0
        run = hour(device)
        assert run.result in ("success", "exit-code"), run.said
        device.clock = "+0"
        last = hour(device)
        assert last.result in ("success", "exec-condition"), last.said
        expect_good(device, run.said + last.said)


@pytest.mark.whole
@pytest.mark.parametrize("offset", [ahead(-20 * YEAR_S), ahead(-3_600), ahead(86_400), ahead(100 * YEAR_S)])
def test_the_clock_jumps_while_renew_waits(device: ClockedDevice, matrix: Matrix, offset: str) -> None:
    """The length of the wait stays; the answer is not judged by a wrong clock."""
    device.tenant.fault(where="token", do="late", delay_s=6)
    before = whole_directory(device.directory)
    begins_s = time.monotonic()
    with matrix.case(f"renew, {offset} s"), jump(device, 3, offset):
        done = device.run(RENEW)
        matrix.said(done.stderr)
    assert time.monotonic() - begins_s < 60
    if offset == ahead(86_400):
        assert done.exit == 0, done
    else:
        assert done.exit == 1, done
        # What came to a clock that is behind by hours is good as soon as that clock has come so far.
        if "until it is valid" in done.stderr:
            device.candidate.unlink()
        assert whole_directory(device.directory) == before
    device.clock = "+0"
    device.tenant.clear_faults()
    last = hour(device)
    assert last.result == "success", last.said
    expect_good(device, done.stderr + last.said)


@pytest.mark.whole
@pytest.mark.parametrize("offset", [ahead(-20 * YEAR_S), ahead(-3_600), ahead(86_400), ahead(100 * YEAR_S)])
def test_the_clock_jumps_while_verify_waits(device: ClockedDevice, matrix: Matrix, offset: str) -> None:
    """The candidate was checked before, and goes on to be used: at once, or as soon as TLS works by that clock."""
    candidate = issue(device)
    device.tenant.fault(where="mqtt", do="slow-puback", delay_s=6, topic="s/us")
    begins_s = time.monotonic()
    with matrix.case(f"verify, {offset} s"), jump(device, 3, offset):
        done = device.run(VERIFY)
        # Under a clock by which the tenant's own certificate is none, there is no word from it.
        kept = any(each in done.stderr for each in ("both stay, the next run decides", "is kept for the next run"))
        assert done.exit == 0 or (done.exit == 1 and kept), done
        matrix.said(done.stderr)
    assert time.monotonic() - begins_s < 100
    device.clock = "+0"
    last = hour(device)
    assert last.result in ("success", "exec-condition"), last.said
    assert serials(device) == (candidate, None, None)
    expect_good(device, done.stderr + last.said)
