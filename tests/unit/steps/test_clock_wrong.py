# SPDX-License-Identifier: Apache-2.0
"""A clock that cannot be right: every step says so, asks no server, and removes nothing."""

import time
from collections.abc import Callable

import pytest
from pytest_mock import MockerFixture

from tedge_cert.commands import connect, download, reconnect
from tedge_cert.device import state
from tedge_cert.hourly.validity import BUILT_S
from unit import recipes
from unit.certificates import DAY_S
from unit.connected import certify, instance_of, issue, outcome, rejected, serials
from unit.local_device import LocalDevice

# Valid since long before this package was made, so only the package's date shows that the clock is wrong.
LONG_AGO = -400 * DAY_S


def register(device: LocalDevice) -> None:
    known = download.Registration(device.device_id, "secret", False, instance_of(device).config.need("c8y.http"))
    download.check_clock(instance_of(device), known.host)
    download.download(instance_of(device), known, None, 1, 1)


COMMANDS: dict[str, Callable[[LocalDevice], object]] = {
    "renew": lambda device: recipes.renew(instance_of(device), None, by_unit=False),
    "renew by unit": lambda device: recipes.renew(instance_of(device), None, by_unit=True),
    "verify": lambda device: recipes.verify(instance_of(device)),
    "connect": lambda device: connect.connect(instance_of(device), offline=False),
    "download": register,
}


def contacts(device: LocalDevice) -> int:
    found = device.tenant.state()
    return len(found["requests"]) + len(found["failed_handshakes"])


@pytest.mark.parametrize("clock_s", [0, BUILT_S - 1], ids=["1970", "before the package"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_server_is_asked_and_no_file_is_lost(
    local_device: LocalDevice, command: str, clock_s: int, mocker: MockerFixture
) -> None:
    old = certify(local_device, days=10, not_before_offset_s=LONG_AGO)
    new = issue(local_device, not_before_offset_s=LONG_AGO)
    before = contacts(local_device)
    mocker.patch.object(time, "time", return_value=float(clock_s))
    code, said = outcome(lambda: COMMANDS[command](local_device))
    assert (code, "the clock is wrong: " in said) == (1, True), said
    assert "set it (see `" in said
    assert (serials(local_device), rejected(local_device)) == ((old, new, None), None)
    assert contacts(local_device) == before
    if command in ("renew by unit", "verify"):
        left = state.load(instance_of(local_device).state_file)
        assert (left.result, left.next_attempt_s) == ("clock-wrong", 0)


def test_without_a_candidate_either(local_device: LocalDevice, mocker: MockerFixture) -> None:
    certify(local_device, days=60, not_before_offset_s=LONG_AGO)
    mocker.patch.object(time, "time", return_value=float(BUILT_S - 1))
    code, said = outcome(lambda: recipes.verify(instance_of(local_device)))
    assert (code, "the clock is wrong: " in said) == (1, True)


def test_reconnecting(local_device: LocalDevice, mocker: MockerFixture) -> None:
    certify(local_device, days=60, not_before_offset_s=LONG_AGO)
    local_device.connect()
    mocker.patch.object(time, "time", return_value=float(BUILT_S - 1))
    code, said = outcome(lambda: reconnect.reconnect(instance_of(local_device), offline=False))
    assert (code, "the clock is wrong: " in said) == (1, True), said


def test_a_century_ahead_nothing_is_thrown_away(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """No installation lasts so long: the clock is wrong, no server is asked, and no file is removed."""
    old = certify(local_device, days=10)
    new = issue(local_device)
    before = contacts(local_device)
    mocker.patch.object(time, "time", return_value=4_102_444_800.0)
    code, said = outcome(lambda: recipes.renew(instance_of(local_device), None, by_unit=True))
    assert (code, "the clock is wrong" in said) == (1, True)
    assert (serials(local_device), contacts(local_device)) == ((old, new, None), before)
