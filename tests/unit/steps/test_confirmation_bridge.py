# SPDX-License-Identifier: Apache-2.0
"""After the promotion: when the bridge's return confirms the new certificate, and when it does not."""

from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.bridge.health import Bridge
from tedge_cert.steps import confirmation
from tedge_cert.steps.confirmation import Confirmation
from tedge_cert.steps.switch import Switch
from tedge_cert.tenant import proof, smartrest
from tedge_cert.tenant.own_connection import Answer, Verdict
from unit.connected import (
    before,
    broker_of,
    certify,
    connect_with,
    hurry,
    instance_of,
    issue,
    serials,
    tenant_of,
)
from unit.local_client import Local
from unit.local_device import LocalDevice
from unit.switching import refuse, verify

DAY_S = 86_400


def test_a_bridge_without_a_token(
    bridged: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    hurry(mocker, TOKEN_WAIT_S=0.5)
    new = issue(bridged)
    bridged.tenant.fault(where="token", do="silence")
    assert (verify(bridged), serials(bridged)) == ((0, ""), (new, None, None))
    said = capsys.readouterr().err
    assert "warning: the bridge is back, but no token came through the bridge within 1 s" in said
    assert "a connection of our own decides" in said
    bridged.tenant.wait_connected(bridged.device_id, serial=new)


@pytest.mark.parametrize("how", ["no bridge", "no broker", "bridge down"])
@pytest.mark.parametrize("verdict", ["accepted", "refused", "no answer"])
def test_a_bridge_that_was_down_is_not_waited_for(
    local_device: LocalDevice, mocker: MockerFixture, how: str, verdict: str
) -> None:
    hurry(mocker, BRIDGE_WAIT_S=0.5)
    old = certify(local_device)
    connect_with(local_device, how)
    new = issue(local_device)
    if verdict != "accepted":
        fault = {"do": "reset"} if verdict == "no answer" else {}
        before(mocker, Switch, "promote", lambda: refuse(local_device, new, **fault))
    waited = mocker.spy(Bridge, "wait_for_return") if verdict == "accepted" else None
    code, _ = verify(local_device)
    expected = {
        "accepted": (0, (new, None, None)),
        "refused": (3, (old, None, None)),
        "no answer": (1, (new, None, old)),
    }
    assert (code, serials(local_device)) == expected[verdict]
    assert waited is None or not waited.called


@pytest.mark.parametrize(
    "faults",
    [
        # The bridge is back, with the old certificate, before the PUBACK comes.
        [{"do": "slow-puback", "delay_s": 20}],
        # It is on its way with the old certificate when the PUBACK comes, and arrives later.
        [{"do": "slow-puback", "delay_s": 2.6}, {"do": "slow-connack", "delay_s": 3}],
        # mosquitto 2.1 is on its way so soon, 2.0 is not.
        [{"do": "slow-puback", "delay_s": 0.7}, {"do": "slow-connack", "delay_s": 2}],
    ],
)
def test_a_bridge_that_read_the_old_certificate(
    bridged: LocalDevice, mocker: MockerFixture, faults: list[dict[str, Any]]
) -> None:
    hurry(mocker, PUBACK_S=20.0)
    old = serials(bridged)[0]
    new = issue(bridged)
    for fault in faults:
        bridged.tenant.fault(where="mqtt", serials=[new if fault["do"] == "slow-puback" else old], **fault)
    with Local(bridged) as local:
        assert (verify(bridged), serials(bridged)) == ((0, ""), (new, None, None))
        assert bridged.tenant.device(bridged.device_id)["serial"] == new
        assert local.losses == 0


@pytest.mark.parametrize(
    ("renamed_s", "returned_s", "evicted"),
    [
        (100.1, 101.3, False),
        (101.1, 101.3, True),
        # Sooner than any mosquitto: what it read, and when, is not known.
        (100.1, 100.4, True),
        (100.5, 100.4, True),
    ],
)
def test_the_rename_comes_before_the_reading(
    local_device: LocalDevice, mocker: MockerFixture, renamed_s: float, returned_s: float, evicted: bool
) -> None:
    certify(local_device)
    issue(local_device, local_device.previous)
    mocker.patch.object(smartrest, "token_through")
    evict = mocker.patch.object(confirmation, "evict_bridge")
    bridge = mocker.Mock(spec=Bridge, broker=broker_of(local_device))
    bridge.fell_at_s.return_value, bridge.reads_again_s.return_value = 100.0, 101.0
    bridge.returned_at_s.return_value = returned_s
    instance = instance_of(local_device)
    promoted = Confirmation(instance, tenant_of(local_device), Switch.of(instance), bridge)
    promoted.after_promotion(was_up=True, proof_began_s=99.0, renamed_s=renamed_s)
    assert evict.called is evicted
    assert not local_device.previous.exists()


def test_a_restarted_broker_leaves_previous_to_the_last_party(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """Another instance with the same certificate may still have to go back to previous."""
    certify(local_device)
    issue(local_device, local_device.previous)
    mocker.patch.object(proof, "prove", return_value=Verdict(Answer.ACCEPTED, "accepted"))
    lost = mocker.Mock(spec=Bridge, is_lost=True, broker=broker_of(local_device))
    lost.fell_at_s.return_value, lost.wait_for_return.return_value = 100.0, False
    lost.reads_again_s.return_value, lost.returned_at_s.return_value = 101.0, None
    instance = instance_of(local_device)
    promoted = Confirmation(instance, tenant_of(local_device), Switch.of(instance), lost, is_last=False)
    promoted.after_promotion(was_up=True, proof_began_s=99.0, renamed_s=100.0)
    assert local_device.previous.exists()
