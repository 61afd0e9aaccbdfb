# SPDX-License-Identifier: Apache-2.0
"""A switch where the tenant gives tokens for client certificates: the bridge is interrupted once, or not at all."""

from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.steps.switch import Switch
from unit import connected, recipes
from unit.connected import (
    after,
    before,
    certify,
    connect_with,
    digest,
    freeze,
    hurry,
    instance_of,
    issue,
    rejected,
    serial_of,
    serials,
)
from unit.local_client import Local
from unit.local_device import LocalDevice
from unit.switching import bridge, verify
from unit.tenant.test_device_token import asked


@pytest.fixture
def bridged(token_device: LocalDevice, mocker: MockerFixture) -> LocalDevice:
    """A connected device with ten days left."""
    return bridge(token_device, mocker)


def test_one_interruption_and_no_loss(
    bridged: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = serials(bridged)[0], issue(bridged)
    with Local(bridged) as local:

        def send() -> None:
            for number in range(40):
                local.client.publish("c8y/s/us", f"400,c8y_Test,{number}", qos=1)

        local.wait_health("1")
        send()
        before(mocker, Switch, "promote", send)
        after(mocker, Switch, "promote", send)
        assert verify(bridged) == (0, "")
        send()
        bridged.tenant.wait_messages(bridged.device_id, 161, topic="s/us")
        assert (local.losses, local.health) == (0, ["1", "0", "1"])
    assert serials(bridged) == (new, None, None)
    seen = bridged.tenant.wait_connected(bridged.device_id, serial=new)
    assert (seen["evictions"], [each["serial"] for each in seen["connections"]]) == (1, [old, new, new])
    assert [each["serial"] for each in asked(bridged)] == [new]
    said = capsys.readouterr().err
    assert f"proof: https://{bridged.tenant.address}:8443/devicecontrol/deviceAccessToken gave a token" in said
    assert "confirmed: the bridge is connected with it" in said


def test_refused_without_an_interruption(bridged: LocalDevice) -> None:
    old, new = serials(bridged)[0], issue(bridged)
    bridged.tenant.fault(where="access", do="status", status=401, serials=[new])
    with Local(bridged) as local:
        local.wait_health("1")
        code, said = verify(bridged)
        assert (code, serials(bridged), local.health) == (3, (old, new, None), ["1"])
    assert "refused the certificate (401); the current certificate stays in use" in said
    assert rejected(bridged) == digest(bridged.candidate)
    seen = bridged.tenant.device(bridged.device_id)
    assert (seen["evictions"], len(seen["connections"]), seen["serial"]) == (0, 1, old)


@pytest.mark.parametrize("fault", [{"do": "status", "status": 422}, {"do": "close"}])
def test_without_a_verdict_mqtt_proves(bridged: LocalDevice, fault: dict[str, Any]) -> None:
    new = issue(bridged)
    bridged.tenant.fault(where="access", serials=[new], **fault)
    assert (verify(bridged), serials(bridged)) == ((0, ""), (new, None, None))
    assert bridged.tenant.wait_connected(bridged.device_id, serial=new)["evictions"] == 1


@pytest.mark.parametrize("how", ["no bridge", "no broker", "bridge down"])
def test_without_a_bridge_our_own_connection_confirms(
    token_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    hurry(mocker)
    certify(token_device)
    connect_with(token_device, how)
    new = issue(token_device)
    assert (verify(token_device), serials(token_device)) == ((0, ""), (new, None, None))
    assert "there is no bridge to wait for: a connection of our own decides" in capsys.readouterr().err


@pytest.mark.parametrize("fault", [{"do": "connack", "code": 5}, {"do": "tls-unknown-ca"}])
def test_refused_by_mqtt_after_the_token(bridged: LocalDevice, fault: dict[str, Any]) -> None:
    old, new = serials(bridged)[0], issue(bridged)
    bridged.tenant.fault(where="mqtt", serials=[new], **fault)
    code, said = verify(bridged)
    assert (code, serials(bridged)) == (3, (old, None, None))
    assert "the previous certificate is active again" in said
    bridged.tenant.wait_connected(bridged.device_id, serial=old)


@pytest.mark.parametrize("fault", [{"do": "connack", "code": 3}, {"do": "reset"}])
def test_no_answer_by_mqtt_after_the_token(bridged: LocalDevice, fault: dict[str, Any]) -> None:
    old, new = serials(bridged)[0], issue(bridged)
    bridged.tenant.fault(where="mqtt", serials=[new], **fault)
    code, _ = verify(bridged)
    assert (code, serials(bridged)) == (1, (new, None, old))
    bridged.tenant.clear_faults()
    assert (verify(bridged), serials(bridged)) == ((0, ""), (new, None, None))
    bridged.tenant.wait_connected(bridged.device_id, serial=new)


def test_a_bridge_that_stays_away(bridged: LocalDevice, mocker: MockerFixture) -> None:
    hurry(mocker, BRIDGE_WAIT_S=2.0, SETTLE_S=0.5)
    new = issue(bridged)
    after(mocker, Switch, "promote", lambda: freeze(bridged))
    assert (verify(bridged), serials(bridged)) == ((0, ""), (new, None, None))


def test_a_slow_acknowledgement(bridged: LocalDevice) -> None:
    new = issue(bridged)
    bridged.tenant.fault(where="mqtt", do="slow-puback", delay_s=2.6, serials=[new])
    assert (verify(bridged), serials(bridged)) == ((0, ""), (new, None, None))
    assert bridged.tenant.wait_connected(bridged.device_id, serial=new)["evictions"] <= 2


def test_a_renewal_without_broker(token_device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    certify(token_device)
    assert recipes.renew(instance_of(token_device), None, by_unit=True) == 0
    assert "token received from https://" in capsys.readouterr().err
    assert token_device.tenant.device(token_device.device_id)["connections"] == []
    assert serial_of(token_device.candidate)


def test_a_token_that_enrolment_does_not_take_is_replaced_by_mqtt(
    token_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    connected.hurry(mocker)
    certify(token_device)
    token_device.tenant.fault(where="est", do="status", status=401, times=1)
    assert recipes.renew(instance_of(token_device), None, by_unit=True) == 0
    said = capsys.readouterr().err
    assert said.index("token received from https://") < said.index("token received over a connection of our own")
