# SPDX-License-Identifier: Apache-2.0
"""Reconnecting with an unfinished switch, with a candidate, or with neither."""

import pytest
from pytest_mock import MockerFixture

from tedge_cert.device import state
from tedge_cert.device.state import State
from tedge_cert.errors import CandidateRejectedError
from tedge_cert.steps import confirmation, rejection
from unit.connected import certify, instance_of, issue, rejected, serials
from unit.local_client import Local
from unit.local_device import LocalDevice
from unit.reconnecting import bridge_file, connect, connections, go, quicken


@pytest.fixture
def device(local_device: LocalDevice, mocker: MockerFixture) -> LocalDevice:
    """A device with a bridge that reconnects quickly."""
    quicken(mocker)
    return local_device


def test_with_nothing_new_the_bridge_connects_once_more(device: LocalDevice) -> None:
    active = certify(device)
    connect(device)
    pid, before = device.broker_pid, bridge_file(device).read_bytes()
    with Local(device) as local:
        local.wait_health("1")
        result = go(device)
        local.wait_health("1")
        assert local.health == ["1", "0", "1"]
        assert local.losses == 0
    assert result == (0, "")
    # The bridge, the connection that pushed it out, the bridge.
    assert connections(device) == [active] * 3
    assert (device.broker_pid, bridge_file(device).read_bytes()) == (pid, before)


def test_who_reconnects_ends_the_pause_after_a_failure(device: LocalDevice) -> None:
    """The record of the failures stays."""
    certify(device)
    connect(device)
    path = instance_of(device).state_file
    state.save(path, State(result="no-answer", reason="silent", attempts=3, next_attempt_s=2_000_000_000))
    assert go(device) == (0, "")
    assert state.load(path) == State(result="no-answer", reason="silent", attempts=3)


def test_a_candidate_becomes_the_certificate(device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    certify(device)
    new = issue(device)
    connect(device)
    assert (go(device), serials(device)) == ((0, ""), (new, None, None))
    said = capsys.readouterr().err
    assert f"Validating new certificate: {device.candidate}... ✓\n" in said
    assert f"The new certificate is now the active certificate {device.certificate}\n" in said
    # The proof has pushed the bridge out; no other connection is needed.
    assert len(connections(device)) == 3


@pytest.mark.parametrize("how", ["refused", "garbage", "no answer"])
def test_a_candidate_that_is_not_used_stays(device: LocalDevice, capsys: pytest.CaptureFixture[str], how: str) -> None:
    """The exit code is 3, connected without the candidate, and the unit's clean-up does not remove it."""
    old = certify(device)
    connect(device)
    new = issue(device)
    if how == "garbage":
        device.candidate.write_text("garbage")
    else:
        fault = {"do": "connack", "code": 5} if how == "refused" else {"do": "reset"}
        device.tenant.fault(where="mqtt", serials=[new], **fault)
    before = device.candidate.read_bytes()
    assert go(device) == (3, "")
    assert device.candidate.read_bytes() == before
    assert rejected(device) is None
    assert old in connections(device)[-1:]
    assert "connected, but not with the new certificate" in capsys.readouterr().err


def test_a_candidate_that_holds_only_for_the_proof_is_undone(device: LocalDevice) -> None:
    old = certify(device)
    connect(device)
    new = issue(device)
    device.tenant.fault(where="mqtt", do="connack", code=5, serials=[new], accept_first=1)
    assert (go(device), serials(device)) == ((3, ""), (old, None, None))
    device.tenant.wait_connected(device.device_id, serial=old)


@pytest.mark.parametrize("with_candidate", [True, False])
def test_an_unfinished_switch_is_finished_first(device: LocalDevice, with_candidate: bool) -> None:
    active = certify(device)
    connect(device)
    issue(device, device.previous, days=9)
    candidate = issue(device) if with_candidate else active
    assert (go(device), serials(device)) == ((0, ""), (candidate, None, None))
    device.tenant.wait_connected(device.device_id, serial=candidate)


def test_or_undone(device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    active = certify(device)
    connect(device)
    previous = issue(device, device.previous, days=9)
    device.tenant.fault(where="mqtt", do="connack", code=5, serials=[active])
    assert (go(device), serials(device)) == ((3, ""), (previous, None, None))
    assert "the previous certificate is active again" in capsys.readouterr().err


def test_without_an_answer_both_files_stay(device: LocalDevice) -> None:
    active = certify(device)
    connect(device)
    previous = issue(device, device.previous, days=9)
    # The bridge stays up; only new clients are refused.
    device.tenant.fault(where="mqtt", do="reset", serials=[active])
    code, said = go(device)
    assert (code, serials(device)) == (1, (active, None, previous))
    assert "`sudo tedge reconnect c8y` tries to finish it again" in said


def test_one_that_was_just_undone_is_not_tried_again(device: LocalDevice, mocker: MockerFixture) -> None:
    """The tenant accepts it, but the bridge does not come back with it: it stays a candidate, for a person."""
    old = certify(device)
    connect(device)
    new = issue(device)
    device.previous.write_bytes(device.certificate.read_bytes())
    device.candidate.rename(device.certificate)

    def undone(self: confirmation.Confirmation) -> None:
        content = self.switch.certificate.read_bytes()
        self.switch.put_back(keep=content)
        rejection.record(self.instance, content)
        raise CandidateRejectedError("the bridge stays away")

    mocker.patch.object(confirmation.Confirmation, "resume", undone)
    assert (go(device), serials(device)) == ((3, ""), (old, new, None))
    assert rejected(device) is None
