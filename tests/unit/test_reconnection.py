# SPDX-License-Identifier: Apache-2.0
"""Reconnecting where nobody manages services: what is proved, what is written, and that the bridge stays."""

from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert import confirmation, mosquitto, reconnection, rejection
from tedge_cert.errors import CandidateRejectedError
from unit.connected import (
    certify,
    configure,
    cut_bridge,
    hurry,
    instance_of,
    issue,
    outcome,
    rejected,
    serials,
)
from unit.local_client import Local
from unit.local_device import LocalDevice, free_port

DAY_S = 86_400


@pytest.fixture
def device(local_device: LocalDevice, mocker: MockerFixture) -> LocalDevice:
    """A device whose bridge is configured by ourselves, but never more than two seconds apart."""
    written = mosquitto.bridge_text

    def quicker(instance: Any) -> str:
        return written(instance).replace("restart_timeout 1 30", "restart_timeout 1 2")

    mocker.patch.object(mosquitto, "bridge_text", quicker)
    hurry(mocker)
    mocker.patch.object(reconnection, "BRIDGE_WAIT_S", 8.0)
    return local_device


def connect(device: LocalDevice) -> None:
    instance = instance_of(device)
    mosquitto.listener_placement(instance).install(mosquitto.listener_text(instance))
    mosquitto.bridge_placement(instance).install(mosquitto.bridge_text(instance))
    device.start_broker()
    with Local(device) as local:
        local.wait_health("1")


def bridge_file(device: LocalDevice) -> Path:
    return instance_of(device).bridge_file


def go(device: LocalDevice, offline: bool = False) -> tuple[int, str]:
    codes: list[int] = []
    code, text = outcome(lambda: codes.append(reconnection.reconnect(instance_of(device), offline)))
    return (codes[0] if codes else code), text


def connections(device: LocalDevice) -> list[str]:
    return [each["serial"] for each in device.tenant.device(device.device_id)["connections"]]


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


def test_a_candidate_becomes_the_certificate(device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    certify(device)
    new = issue(device)
    connect(device)
    assert (go(device), serials(device)) == ((0, ""), (new, None, None))
    said = capsys.readouterr().err
    assert f"Validating new certificate: {device.candidate}... ✓\n" in said
    assert f"The new certificate is now the active certificate {device.certificate}\n" in said
    # The proof has pushed the bridge out, nothing else has to.
    assert len(connections(device)) == 3


@pytest.mark.parametrize("how", ["refused", "garbage", "no answer"])
def test_a_candidate_that_is_not_used_stays(device: LocalDevice, capsys: pytest.CaptureFixture[str], how: str) -> None:
    """Connected, but not with it: 3. And the clean-up of the unit will not take it for its own."""
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
    assert "the former certificate is active again" in capsys.readouterr().err


def test_without_an_answer_both_files_stay(device: LocalDevice) -> None:
    active = certify(device)
    connect(device)
    previous = issue(device, device.previous, days=9)
    # The bridge is up and stays so, only nobody new is let in.
    device.tenant.fault(where="mqtt", do="reset", serials=[active])
    code, said = go(device)
    assert (code, serials(device)) == (1, (active, None, previous))
    assert "`tedge reconnect c8y` tries to finish it again" in said


def test_one_that_was_just_undone_is_not_tried_again(device: LocalDevice, mocker: MockerFixture) -> None:
    """The tenant takes it, the bridge does not come back with it: it waits as candidate, for a person."""
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


@pytest.mark.parametrize("offline", [True, False])
def test_changed_settings_are_written(device: LocalDevice, capsys: pytest.CaptureFixture[str], offline: bool) -> None:
    certify(device)
    connect(device)
    configure(device, "[mqtt.bind]", '[c8y.smartrest]\ntemplates = ["one"]\n[mqtt.bind]')
    assert go(device, offline) == (0, "")
    assert "topic s/dc/one in 1" in bridge_file(device).read_text()
    assert "restart mosquitto yourself" in capsys.readouterr().err
    device.stop_broker()
    device.start_broker()
    with Local(device) as local:
        local.wait_health("1")


def test_offline_nobody_is_asked(device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    active = certify(device)
    connect(device)
    previous = issue(device, device.previous, days=9)
    candidate = issue(device)
    asked = len(connections(device))
    assert (go(device, offline=True), serials(device)) == ((3, ""), (active, candidate, previous))
    assert len(connections(device)) == asked
    assert "offline: whether the device is connected was not looked at" in capsys.readouterr().err


def test_without_a_bridge_file_it_connects(device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    certify(device)
    assert go(device) == (0, "")
    assert bridge_file(device).exists()
    assert "Reconnecting to Cumulocity:" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["no broker", "tenant gone", "refused", "expired", "no certificate"])
def test_the_bridge_is_never_taken_away(device: LocalDevice, how: str) -> None:
    options = {"days": 0.0002, "not_before_offset_s": -2 * DAY_S} if how == "expired" else {}
    active = certify(device, **options)
    if how == "expired":
        instance = instance_of(device)
        mosquitto.listener_placement(instance).install(mosquitto.listener_text(instance))
        mosquitto.bridge_placement(instance).install(mosquitto.bridge_text(instance))
        device.certificate.unlink()
        certify(device, days=-1, not_before_offset_s=-2 * DAY_S)
        device.start_broker()
    else:
        connect(device)
    if how == "no broker":
        device.stop_broker()
    if how == "tenant gone":
        device.tenant.fault(where="mqtt", do="reset")
    if how == "refused":
        device.tenant.fault(where="mqtt", do="connack", code=5, serials=[active])
    if how == "no certificate":
        device.certificate.rename(device.directory / "elsewhere.pem")
    before = {each.name: each.read_bytes() for each in bridge_file(device).parent.iterdir()}
    code, said = go(device)
    if how == "no certificate":
        assert (code, "no identity" in said) == (1, True)
        device.certificate.write_bytes((device.directory / "elsewhere.pem").read_bytes())
    else:
        assert (code, bool(said)) == (1, True)
    assert {each.name: each.read_bytes() for each in bridge_file(device).parent.iterdir()} == before
    if how == "tenant gone":
        assert "the bridge was left as it is" in said


def test_a_bridge_that_is_down_is_waited_for(device: LocalDevice) -> None:
    certify(device)
    connect(device)
    cut_bridge(device)
    code, said = go(device)
    assert (code, "CONNACK 3" in said) == (1, True)
    device.tenant.clear_faults()
    assert go(device) == (0, "")
    device.tenant.wait_connected(device.device_id)


def test_the_command(device: LocalDevice) -> None:
    certify(device)
    port = free_port()
    configure(device, f"port = {device.port}", f"port = {port}")
    device.port = port
    device.connect()
    result = device.run("tedge-reconnect c8y")
    assert (result.exit, result.stdout) == (0, ""), result.stderr
    assert "\tmosquitto version: 2." in result.stderr
