# SPDX-License-Identifier: Apache-2.0
"""A run after an interrupted one: it finishes or undoes the switch, at any point of the interruption."""

import signal
from collections.abc import Callable

import pytest
from pytest_mock import MockerFixture

from tedge_cert.bridge import health
from unit import recipes
from unit.certificates import make_for
from unit.connected import (
    before,
    certify,
    connect,
    hurry,
    instance_of,
    issue,
    key_file,
    rejected,
    serial_of,
    serials,
)
from unit.killed import verify_until
from unit.local_client import Local
from unit.local_device import LocalDevice
from unit.switching import verify


def begin(device: LocalDevice, how: str) -> tuple[str, str]:
    """Interrupt a switch right after the rename; return the previous and the new serial."""
    old = certify(device)
    if how != "no bridge":
        connect(device)
    if how == "no broker":
        device.stop_broker()
    device.previous.write_bytes(device.certificate.read_bytes())
    new = issue(device, device.certificate)
    if how == "bridge down":
        with Local(device) as local:
            local.wait_health("1")
            device.tenant.fault(where="mqtt", do="connack", code=3, serials=[old, new])
            device.tenant.drop(device.device_id)
            local.wait_health("0")
    return old, new


@pytest.mark.parametrize("how", ["bridge up", "bridge down", "no broker", "no bridge"])
def test_finished(local_device: LocalDevice, mocker: MockerFixture, how: str) -> None:
    hurry(mocker, BRIDGE_WAIT_S=20.0)
    _, new = begin(local_device, how)
    before(mocker, health.Bridge, "wait_until_up", local_device.tenant.clear_faults)
    assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
    seen = local_device.tenant.device(local_device.device_id)
    own = [each for each in seen["connections"] if each["why_closed"] == "disconnected by the client"]
    if how.startswith("bridge"):
        assert seen["serial"] == new
        assert (len(own), seen["evictions"]) == ((1, 1) if how == "bridge up" else (0, 0))
    else:
        assert [each["serial"] for each in own] == [new]


@pytest.mark.parametrize("how", ["bridge up", "bridge down", "no broker", "no bridge"])
@pytest.mark.parametrize("code", [5, 3])
def test_refused_or_not_answered(local_device: LocalDevice, mocker: MockerFixture, how: str, code: int) -> None:
    hurry(mocker, BRIDGE_WAIT_S=8.0 if code == 5 and how == "bridge up" else 3.0)
    old, new = begin(local_device, how)
    local_device.tenant.settings(faults=[{"where": "mqtt", "do": "connack", "code": code, "serials": [new]}])
    found, said = verify(local_device)
    if code == 5:
        assert (found, serials(local_device)) == (3, (old, None, None))
        assert "the previous certificate is active again" in said
        if how.startswith("bridge"):
            local_device.tenant.wait_connected(local_device.device_id, serial=old)
    else:
        assert (found, serials(local_device)) == (1, (new, None, old))
        assert "both stay, the next run decides" in said
    assert rejected(local_device) is None


def test_another_candidate_is_left_alone(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """It came during the switch of another one, whose success or failure says nothing about this one."""
    hurry(mocker)
    old, new = begin(local_device, "no bridge")
    newer = issue(local_device, days=200)
    local_device.tenant.fault(where="mqtt", do="connack", code=5, serials=[new])
    assert (verify(local_device)[0], serials(local_device)) == (3, (old, newer, None))
    recipes.clean_up(instance_of(local_device))
    assert (verify(local_device), serials(local_device)) == ((0, ""), (newer, None, None))
    local_device.previous.write_bytes(local_device.certificate.read_bytes())
    new = issue(local_device, local_device.certificate, days=300)
    newest = issue(local_device, days=400)
    local_device.tenant.clear_faults()
    assert (verify(local_device), serials(local_device)) == ((0, ""), (new, newest, None))


def garbage(device: LocalDevice) -> None:
    device.certificate.write_bytes(b"\x00garbage")


def of_another_key(device: LocalDevice) -> None:
    device.certificate.write_bytes(make_for(90, name=device.device_id).pem)


@pytest.mark.parametrize("spoil", [garbage, of_another_key, lambda d: d.certificate.unlink()])
def test_a_certificate_that_broke_goes(local_device: LocalDevice, spoil: Callable[[LocalDevice], object]) -> None:
    old, _ = begin(local_device, "no bridge")
    spoil(local_device)
    code, said = verify(local_device)
    assert (code, serials(local_device)) == (3, (old, None, None))
    assert str(local_device.certificate) in said


def test_no_way_back_without_the_key(local_device: LocalDevice) -> None:
    _, _ = begin(local_device, "no bridge")
    lying = {each: each.read_bytes() for each in (local_device.certificate, local_device.previous)}
    key_file(local_device).unlink()
    code, said = verify(local_device)
    assert code == 1
    assert f"the private key {key_file(local_device)} is missing" in said
    assert {each: each.read_bytes() for each in lying} == lying
    assert not key_file(local_device).exists()


def test_an_expired_one_is_not_shown_to_the_tenant(local_device: LocalDevice, mocker: MockerFixture) -> None:
    mocker.patch("tedge_cert.systemd.is_clock_synchronised", return_value=False)
    old, _ = begin(local_device, "no bridge")
    expired = issue(local_device, local_device.certificate, days=-1, not_before_offset_s=-2 * 86_400)
    failures = len(local_device.tenant.state()["failed_handshakes"])
    code, said = verify(local_device)
    assert (code, serials(local_device)) == (1, (expired, None, old))
    assert "has expired before it was confirmed; the clock is not synchronised: if it is wrong, set it" in said
    assert len(local_device.tenant.state()["failed_handshakes"]) == failures
    assert local_device.tenant.device(local_device.device_id)["connections"] == []


def test_a_previous_equal_to_the_certificate(local_device: LocalDevice) -> None:
    """The run ended between its two renames: the candidate has still to be tried."""
    certify(local_device)
    local_device.previous.write_bytes(local_device.certificate.read_bytes())
    new = issue(local_device)
    assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
    assert [each["serial"] for each in local_device.tenant.device(local_device.device_id)["connections"]] == [new, new]


def test_a_candidate_equal_to_the_certificate(local_device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    """The run ended before it removed the candidate that it had promoted: no verdict, no connection."""
    active = certify(local_device, days=90)
    local_device.candidate.write_bytes(local_device.certificate.read_bytes())
    assert (verify(local_device), serials(local_device)) == ((0, ""), (active, None, None))
    assert "nothing to verify: no candidate" in capsys.readouterr().err
    assert rejected(local_device) is None
    assert local_device.tenant.device(local_device.device_id)["connections"] == []


# The last change is the end. One removes the former rejection, two belong to the memory of the token endpoint, two to
# the state.
STEPS = 13
CONFIRMED = STEPS - 2


@pytest.mark.parametrize("step", range(STEPS + 1))
def test_killed_at_every_step(local_device: LocalDevice, step: int) -> None:
    """At every instant the certificate is whole; while it is in doubt, previous lies beside it."""
    old = certify(local_device)
    new = issue(local_device)
    killed = verify_until(local_device, step)
    assert killed.returncode == (-signal.SIGKILL if step < STEPS else 0)
    active, previous = serial_of(local_device.certificate), serial_of(local_device.previous)
    assert (active, previous) in ((old, None), (old, old), (new, old), (new, None))
    assert (active, previous) != (new, None) or step >= CONFIRMED
    recipes.clean_up(instance_of(local_device))
    assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
