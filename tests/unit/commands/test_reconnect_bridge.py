# SPDX-License-Identifier: Apache-2.0
"""Reconnecting with changed settings, offline, and where it fails: the bridge stays."""

import pytest
from pytest_mock import MockerFixture

from tedge_cert.bridge import conf_files, mosquitto_conf
from tedge_cert.bridge.mosquitto_conf import listener_text
from tenant.ports import free_port
from unit.connected import certify, configure, cut_bridge, files_of, issue, mosquitto_of, serials
from unit.local_client import Local
from unit.local_device import LocalDevice
from unit.reconnecting import bridge_file, connect, connections, go, quicken

DAY_S = 86_400


@pytest.fixture
def device(local_device: LocalDevice, mocker: MockerFixture) -> LocalDevice:
    """A device with a bridge that reconnects quickly."""
    quicken(mocker)
    return local_device


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


def test_settings_that_moved_change_nothing(device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    """`tedge config upgrade` on a connected device: the bridge that is there fits, and comes back."""
    configure(device, "[c8y]\n", '[c8y]\nsmartrest.templates = ["one"]\n')
    certify(device, days=100)
    connect(device)
    before = bridge_file(device).read_text()
    assert device.run("tedge-config upgrade").exit == 0
    assert go(device) == (0, "")
    assert bridge_file(device).read_text() == before
    assert f"configuration: {device.directory}/mappers/c8y/mapper.toml" in capsys.readouterr().err
    assert device.run("tedge-cert-needs-renewal --systemd c8y").exit == 1


def test_offline_nobody_is_asked(device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    active = certify(device)
    connect(device)
    previous = issue(device, device.previous, days=9)
    candidate = issue(device)
    asked = len(connections(device))
    assert (go(device, offline=True), serials(device)) == ((3, ""), (active, candidate, previous))
    assert len(connections(device)) == asked
    assert "offline: the connection was not checked" in capsys.readouterr().err


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
        wanted, of = mosquitto_of(device), files_of(device)
        conf_files.listener_placement(of).put(listener_text(wanted.listener))
        conf_files.bridge_placement(of).put(mosquitto_conf.bridge_text(wanted))
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
