# SPDX-License-Identifier: Apache-2.0
"""Connecting without a service manager: files, checks before they are written, and what `--test` finds."""

from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.bridge import mosquitto_conf
from tedge_cert.bridge.mosquitto_conf import listener_text
from tedge_cert.commands import connect as connection
from tedge_cert.commands import connection_check
from tedge_cert.device import state
from tenant.ports import free_port
from unit.connected import (
    certify,
    configure,
    connect_with,
    hurry,
    instance_of,
    issue,
    key_file,
    mosquitto_of,
    outcome,
    serials,
)
from unit.local_device import LocalDevice

DAY_S = 86_400


def go(device: LocalDevice, offline: bool = False) -> tuple[int, str]:
    return outcome(lambda: connection.connect(instance_of(device), offline))


def bridge_file(device: LocalDevice) -> Path:
    return device.directory / "mosquitto-conf" / "c8y-bridge.conf"


def everything(device: LocalDevice) -> dict[str, bytes]:
    """Return every file of the device except those of its broker and its locks."""
    kept = [each for each in device.directory.rglob("*") if each.is_file() and "run" not in each.parts]
    return {str(each): each.read_bytes() for each in kept if each.suffix != ".log"}


def test_from_connect_to_disconnect(local_device: LocalDevice) -> None:
    certify(local_device, days=10.5)
    result = local_device.run("tedge-connect c8y")
    assert (result.exit, result.stdout) == (0, "")
    assert "start mosquitto yourself" in result.stderr
    wanted = mosquitto_of(local_device)
    written = {each.name: each.read_text() for each in bridge_file(local_device).parent.iterdir()}
    assert written == {
        "tedge-mosquitto.conf": listener_text(wanted.listener),
        "c8y-bridge.conf": mosquitto_conf.bridge_text(wanted),
    }
    assert {each.stat().st_mode & 0o777 for each in bridge_file(local_device).parent.iterdir()} == {0o644}
    message = local_device.tenant.wait_messages(local_device.device_id)[0]
    assert message["payload"].startswith(f"100,{local_device.device_id},")
    local_device.start_broker()
    local_device.tenant.wait_connected(local_device.device_id)
    before = everything(local_device)
    again, tested = local_device.run("tedge-connect c8y"), local_device.run("tedge-connect c8y --test")
    assert (again.exit, again.stdout, tested.exit, tested.stdout) == (1, "", 0, "")
    assert f"already connected ({bridge_file(local_device)} exists); `sudo tedge reconnect c8y`" in again.stderr
    assert everything(local_device) == before
    gone = local_device.run("tedge-disconnect c8y")
    assert (gone.exit, gone.stdout, bridge_file(local_device).exists()) == (0, "", False)
    nothing = local_device.run("tedge-disconnect c8y").stdout
    assert nothing == "Bridge doesn't exist. Device is already disconnected from Cumulocity.\n"
    assert local_device.run("tedge-cert-status --short").stdout.endswith(" healthy  10d left  bridge disconnected\n")
    assert local_device.run("tedge-connect c8y --offline").exit == 0
    assert state.load(instance_of(local_device).state_file).disconnected_s == 0


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"do": "connack", "code": 5}, "answered CONNACK 5"),
        ({"do": "tls-unknown-ca"}, "refused the certificate (TLS alert: unknown ca)"),
        ({"do": "reset"}, "no answer from 127.0.0.1:"),
    ],
)
def test_not_without_the_tenant(
    local_device: LocalDevice, mocker: MockerFixture, fault: dict[str, Any], said: str
) -> None:
    hurry(mocker)
    local_device.tenant.fault(where="mqtt", serials=[certify(local_device)], **fault)
    code, text = go(local_device)
    assert (code, list(bridge_file(local_device).parent.iterdir())) == (1, [])
    assert said in text


@pytest.mark.parametrize("spoilt", ["certificate", "key", "expired"])
def test_not_without_a_certificate(local_device: LocalDevice, spoilt: str) -> None:
    """An expired certificate is not shown to the tenant."""
    options = {"days": -1, "not_before_offset_s": -2 * DAY_S} if spoilt == "expired" else {}
    certify(local_device, **options)
    failures = len(local_device.tenant.state()["failed_handshakes"])
    path = key_file(local_device) if spoilt == "key" else local_device.certificate
    if spoilt != "expired":
        path.unlink()
    code, text = go(local_device)
    assert (code, list(bridge_file(local_device).parent.iterdir())) == (1, [])
    assert str(path) in text
    assert "tedge cert download c8y" in text
    assert len(local_device.tenant.state()["failed_handshakes"]) == failures
    assert local_device.tenant.device(local_device.device_id)["connections"] == []


def test_a_candidate_is_used(local_device: LocalDevice) -> None:
    certify(local_device)
    new = issue(local_device)
    assert (go(local_device), serials(local_device)) == ((0, ""), (new, None, None))
    assert bridge_file(local_device).exists()


def test_a_candidate_that_is_refused_stays(
    local_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    hurry(mocker)
    old = certify(local_device)
    new = issue(local_device)
    local_device.tenant.fault(where="mqtt", do="connack", code=5, serials=[new])
    assert (go(local_device), serials(local_device)) == ((0, ""), (old, new, None))
    assert f"going on with {local_device.certificate}" in capsys.readouterr().err
    assert bridge_file(local_device).exists()


@pytest.mark.parametrize("unfinished", [True, False])
def test_offline(local_device: LocalDevice, capsys: pytest.CaptureFixture[str], unfinished: bool) -> None:
    """Offline the tenant is not asked, and a candidate is neither used nor rejected."""
    active = certify(local_device)
    previous = issue(local_device, local_device.previous, days=9) if unfinished else None
    candidate = issue(local_device)
    configure(local_device, f'mqtt = "127.0.0.1:{local_device.tenant.mqtt_port}"', f'mqtt = "127.0.0.1:{free_port()}"')
    assert (go(local_device, offline=True), serials(local_device)) == ((0, ""), (active, candidate, previous))
    assert f"offline: the new certificate {local_device.candidate} is not proved" in capsys.readouterr().err
    assert bridge_file(local_device).exists()


@pytest.mark.parametrize("with_candidate", [True, False])
def test_an_unfinished_switch_is_finished_first(local_device: LocalDevice, with_candidate: bool) -> None:
    active = certify(local_device)
    issue(local_device, local_device.previous, days=9)
    candidate = issue(local_device) if with_candidate else active
    assert (go(local_device), serials(local_device)) == ((0, ""), (candidate, None, None))
    seen = [each["serial"] for each in local_device.tenant.device(local_device.device_id)["connections"]]
    assert seen[0] == active
    assert seen[-1] == candidate


def test_or_undone(local_device: LocalDevice, mocker: MockerFixture) -> None:
    hurry(mocker)
    local_device.tenant.fault(where="mqtt", do="connack", code=5, serials=[certify(local_device)])
    previous = issue(local_device, local_device.previous, days=9)
    assert (go(local_device), serials(local_device)) == ((0, ""), (previous, None, None))
    assert bridge_file(local_device).exists()


def test_without_an_answer_previous_stays(local_device: LocalDevice, mocker: MockerFixture) -> None:
    hurry(mocker)
    active = certify(local_device)
    previous = issue(local_device, local_device.previous, days=9)
    # It would be accepted, but it must not be proved now.
    candidate = issue(local_device)
    local_device.tenant.fault(where="mqtt", do="connack", code=3, serials=[active])
    code, _ = go(local_device)
    assert (code, serials(local_device)) == (1, (active, candidate, previous))
    assert not bridge_file(local_device).exists()


@pytest.mark.parametrize("how", ["no bridge", "no broker", "bridge down", "no token"])
def test_what_a_test_finds(local_device: LocalDevice, mocker: MockerFixture, how: str) -> None:
    hurry(mocker, TOKEN_WAIT_S=0.3)
    mocker.patch.object(connection_check, "BRIDGE_S", 0.5)
    certify(local_device)
    connect_with(local_device, how)
    if how == "no token":
        local_device.tenant.fault(where="token", do="silence")
    before = everything(local_device)
    code, said = outcome(lambda: connection_check.test(instance_of(local_device)))
    assert (code, everything(local_device)) == (1, before)
    assert {
        "no bridge": str(bridge_file(local_device)),
        "no broker": f"no broker at 127.0.0.1:{local_device.port}",
        "bridge down": "te/device/main/service/mosquitto-c8y-bridge/status/health is not 1",
        "no token": "no token came through the bridge",
    }[how] in said


def test_disconnecting_leaves_an_unfinished_switch(local_device: LocalDevice) -> None:
    active = certify(local_device)
    previous = issue(local_device, local_device.previous, days=9)
    bridge_file(local_device).write_text("")
    result = local_device.run("tedge-disconnect c8y")
    assert (result.exit, serials(local_device)) == (0, (active, None, previous))
    assert f"{local_device.previous} stays" in result.stderr
