# SPDX-License-Identifier: Apache-2.0
"""Modes that are too strict for the user who runs the steps, and two runs at once."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faults.answers import whole_directory
from faults.goodness import expect_good
from faults.hourly import CLEANUP, CONDITION, RENEW, VERIFY, hour
from faults.record import Matrix
from tedge_cert.disk.lock import locked
from tenant.client import Tenant
from unit.connected import certify, connect, instance_of, issue, key_file
from unit.local_device import LocalDevice

pytestmark = pytest.mark.row("Answers")
RIGHTS = "-dac_override,-dac_read_search"


class PlainDevice(LocalDevice):
    """A device whose commands obey the modes of files, even if root runs the tests."""

    def command(self, words: str) -> list[str]:
        """The same, without the rights that overrule modes."""
        held = ["setpriv", f"--bounding-set={RIGHTS}"] if os.geteuid() == 0 else []
        return [*held, *super().command(words)]


@pytest.fixture
def device(tenant: Tenant, tmp_path: Path) -> Iterator[PlainDevice]:
    """A connected device that is due, with a candidate."""
    made = PlainDevice(tmp_path / "device", tenant, tmp_path.name.replace("_", "-"))
    certify(made)
    connect(made)
    issue(made)
    yield made
    made.stop_broker()


@pytest.mark.parametrize(
    ("name", "mode", "codes"),
    [
        pytest.param("certificate", 0o000, {CONDITION: 255, RENEW: 1, VERIFY: 1}, id="certificate"),
        pytest.param("key", 0o000, {RENEW: 1, VERIFY: 1}, id="key"),
        pytest.param("candidate", 0o000, {VERIFY: 1}, id="candidate"),
        pytest.param("directory", 0o555, {VERIFY: 1}, id="directory"),
    ],
)
def test_a_mode_that_is_too_strict(
    device: PlainDevice, matrix: Matrix, name: str, mode: int, codes: dict[str, int]
) -> None:
    places = {"certificate": device.certificate, "key": key_file(device), "candidate": device.candidate}
    path = places.get(name, device.certificate.parent)
    usual = path.stat().st_mode & 0o7777
    path.chmod(mode)
    before = whole_directory(device.directory)
    for words, code in codes.items():
        with matrix.case(f"{name} of mode {mode:o}: {words}"):
            done = device.run(words)
            said = matrix.said(done.stderr)
            assert done.exit == code, done
            assert str(path) in said
            assert "Permission denied" in said
            assert whole_directory(device.directory) == before
    path.chmod(usual)
    run = hour(device)
    assert run.result == "success", run.said
    expect_good(device, run.said)


def test_who_comes_second_waits_and_says_for_whom(device: PlainDevice, matrix: Matrix) -> None:
    before = whole_directory(device.directory)
    with locked(device.certificate, instance_of(device).run_directory), matrix.case("clean-up while another runs"):
        done = device.run(CLEANUP)
        assert done.exit == 1, done
        assert f"still works on {device.certificate}" in matrix.said(done.stderr)
    assert whole_directory(device.directory) == before


def test_two_runs_at_once(device: PlainDevice, matrix: Matrix) -> None:
    with matrix.case("two runs at once"), ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda _: hour(device), range(2)))
        assert {each.result for each in runs} <= {"success", "exec-condition"}, [each.said for each in runs]
        expect_good(device, [each.said for each in runs])
