# SPDX-License-Identifier: Apache-2.0
"""The unit of the first boot and a first certificate that came while the clock was wrong."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.commands import first_boot
from tedge_cert.device import registration_record as record
from unit.commands.test_download import PASSWORD
from unit.commands.test_unjudged import HOUR_S, behind, issued, register
from unit.connected import instance_of, issue, key_file, outcome, serial_of
from unit.local_device import LocalDevice


class Unit:
    """The unit of the first boot, started again and again."""

    def __init__(self, device: LocalDevice, slept: list[float]) -> None:
        self.device = device
        self.slept = slept

    def start(self) -> str:
        """What its condition and its step say; empty when the step succeeds."""
        assert self.device.run("tedge-cert-needs-download c8y").exit == 0
        code, said = outcome(lambda: first_boot.register(instance_of(self.device)))
        assert code == (1 if said else 0)
        return said


@pytest.fixture
def unit(local_device: LocalDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mocker: MockerFixture) -> Unit:
    """One that was given a name and a password."""
    directory = tmp_path / "credentials"
    directory.mkdir()
    (directory / "tedge.device-id").write_text(local_device.device_id)
    (directory / "tedge.one-time-password").write_text(PASSWORD)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    instance_of(local_device).state_file.parent.mkdir()
    slept: list[float] = []
    real = time.sleep
    # The tests themselves look after a process every few milliseconds.
    mocker.patch.object(time, "sleep", side_effect=lambda s: slept.append(s) if s > 1 else real(s))
    return Unit(local_device, slept)


def test_the_unit_goes_on_when_the_clock_is_right(unit: Unit, mocker: MockerFixture, asked: Callable[[], int]) -> None:
    device = unit.device
    register(device, do="not-yet-valid", seconds=2 * HOUR_S)
    said = unit.start()
    assert "is kept as" in said
    assert "looking again in 10s" in said
    assert "is not registered" not in said
    new = issued(device)
    for _ in range(2):
        said = unit.start()
        assert said.startswith("the clock is wrong: the certificate begins in 1h 59m only")
    # Not connected by a clock that is wrong, and no password asked for.
    assert record.unfinished(instance_of(device)) is not None
    behind(mocker, -2 * HOUR_S)
    assert unit.start() == ""
    assert (serial_of(device.certificate), asked()) == (new, 1)
    assert unit.slept == [pytest.approx(10, abs=3), pytest.approx(20, abs=3), pytest.approx(40, abs=3)]


def test_the_condition_tells_a_wrong_clock(local_device: LocalDevice) -> None:
    issue(local_device, local_device.certificate, days=10, not_before_offset_s=2 * HOUR_S)
    result = local_device.run("tedge-cert-needs-download c8y")
    assert result.exit == 1
    assert "the clock is wrong: the certificate begins in 1h 59m only" in result.stderr
    instance_of(local_device).state_file.parent.mkdir()
    record.begin(instance_of(local_device), record.Registration("digest", ""))
    result = local_device.run("tedge-cert-needs-download c8y")
    assert result.exit == 0
    assert "the clock is wrong" in result.stderr
    assert key_file(local_device).exists()
