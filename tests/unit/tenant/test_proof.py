# SPDX-License-Identifier: Apache-2.0
"""The proof: which answers count as a refusal."""

import ssl
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.bridge.health import Bridge
from tedge_cert.tenant import eviction, proof
from tedge_cert.tenant.own_connection import Answer, Verdict
from tenant.ports import free_port
from unit.connected import broker_of, certify, configure, connect, hurry, issue, tenant_of
from unit.local_client import Local
from unit.local_device import LocalDevice
from unit.tls_server import TlsServer

ALERTS = {48: "unknown ca", 42: "bad certificate", 44: "certificate revoked", 45: "certificate expired"}


def prove(device: LocalDevice, bridge: Bridge | None = None) -> Verdict:
    return proof.prove(tenant_of(device), device.certificate, bridge)


def refuse(device: LocalDevice, **fault: Any) -> None:
    device.tenant.fault(where="mqtt", device=device.device_id, **fault)


def test_what_is_said_to_the_tenant(local_device: LocalDevice) -> None:
    serial = certify(local_device)
    configuration = local_device.directory / "tedge.toml"
    configuration.write_text(configuration.read_text().replace("[device]\n", '[device]\ntype = "a-type"\n'))
    verdict = prove(local_device)
    assert (verdict.answer, verdict.accepted, verdict.refused) == (Answer.ACCEPTED, True, False)
    message = local_device.tenant.wait_messages(local_device.device_id)[0]
    assert (message["topic"], message["qos"], message["serial"]) == ("s/us", 1, serial)
    assert message["payload"] == f"100,{local_device.device_id},a-type"
    seen = local_device.tenant.wait_disconnected(local_device.device_id)["connections"]
    assert [each["why_closed"] for each in seen] == ["disconnected by the client"]


@pytest.mark.parametrize(
    ("first", "then", "answer"),
    [
        # A certificate just issued may take a moment to be known everywhere.
        ([{"do": "connack", "code": 5, "times": 4}], {}, Answer.ACCEPTED),
        ([{"do": "reset", "times": 4}], {}, Answer.ACCEPTED),
        ([{"do": "connack", "code": 5, "times": 4}], {"do": "reset"}, Answer.NO_ANSWER),
        ([{"do": "reset", "times": 4}], {"do": "connack", "code": 5}, Answer.REFUSED),
        ([{"do": "reset", "times": 1}], {"do": "close-after-connack"}, Answer.NO_ANSWER),
        ([{"do": "close-after-connack", "times": 4}], {}, Answer.ACCEPTED),
        ([{"do": "close-after-connack", "times": 5}], {}, Answer.REFUSED),
        ([{"do": "connack", "code": 5, "times": 5}], {}, Answer.REFUSED),
    ],
)
def test_five_attempts(
    local_device: LocalDevice,
    mocker: MockerFixture,
    capsys: pytest.CaptureFixture[str],
    first: list[dict[str, Any]],
    then: dict[str, Any],
    answer: Answer,
) -> None:
    hurry(mocker)
    certify(local_device)
    for fault in first:
        refuse(local_device, **fault)
    if then:
        refuse(local_device, **then)
    assert prove(local_device).answer is answer
    lines = capsys.readouterr().err.splitlines()
    # A reason is said once, and the last one by the caller.
    assert len(lines) == len(set(lines)) == (1 if len(first) == 1 and first[0]["times"] in (1, 4) else 0)
    assert not lines or lines[0].startswith(f"attempt {first[0]['times']} of 5: ")


def test_nothing_listens(local_device: LocalDevice, mocker: MockerFixture) -> None:
    hurry(mocker)
    certify(local_device)
    port = free_port()
    configure(local_device, f"127.0.0.1:{local_device.tenant.mqtt_port}", f"127.0.0.1:{port}")
    assert prove(local_device) == Verdict(Answer.NO_ANSWER, f"no answer from 127.0.0.1:{port}: Connection refused")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_alert_about_our_certificate(
    local_device: LocalDevice, mocker: MockerFixture, version: ssl.TLSVersion
) -> None:
    """In TLS 1.2 it arrives within the handshake, in 1.3 after it."""
    hurry(mocker)
    certify(local_device)
    with TlsServer(local_device.tenant, version) as server:
        configure(local_device, f"127.0.0.1:{local_device.tenant.mqtt_port}", f"127.0.0.1:{server.port}")
        verdict = prove(local_device)
    assert verdict.answer is Answer.REFUSED
    assert verdict.reason == (
        f"127.0.0.1:{server.port} refused the certificate (TLS alert: unknown ca): it is within its validity, so the "
        "tenant does not recognise it: is it, or its issuer, trusted there?"
    )


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_from_a_stranger(local_device: LocalDevice, mocker: MockerFixture, alert: int) -> None:
    """A server that has not proved its name cannot speak about our certificate."""
    hurry(mocker)
    certify(local_device)
    with TlsServer(local_device.tenant, alert=alert) as server:
        configure(local_device, f"127.0.0.1:{local_device.tenant.mqtt_port}", f"127.0.0.1:{server.port}")
        verdict = prove(local_device)
    assert verdict.answer is Answer.NO_ANSWER
    assert f"no answer from 127.0.0.1:{server.port}" in verdict.reason
    assert server.met == 5


@pytest.mark.parametrize("pause_s", [0.1, 0.6, 1.0])
def test_a_close_that_the_bridge_did_not_cause(
    local_device: LocalDevice, mocker: MockerFixture, pause_s: float
) -> None:
    """A bridge that comes back after the tenant closed our connection by itself proves nothing."""
    hurry(mocker, PAUSE_S=pause_s)
    certify(local_device)
    connect(local_device)
    local_device.tenant.fault(where="mqtt", do="close-after-connack", serials=[issue(local_device)])
    with Bridge(broker_of(local_device)) as bridge:
        assert proof.prove(tenant_of(local_device), local_device.candidate, bridge).answer is Answer.REFUSED


def test_the_bridge_takes_its_place_back(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """On a slow link it is back before the PUBACK: the first attempt is enough."""
    hurry(mocker, PUBACK_S=20.0)
    certify(local_device)
    connect(local_device)
    refuse(local_device, do="slow-puback", delay_s=20)
    with Bridge(broker_of(local_device)) as bridge:
        verdict = prove(local_device, bridge)
    assert verdict.accepted
    assert "took the connection back before the PUBACK" in verdict.reason
    assert len(local_device.tenant.messages(local_device.device_id, topic="s/us")) == 1


def test_pushing_the_bridge_out_says_nothing(local_device: LocalDevice) -> None:
    certify(local_device)
    connect(local_device)
    with Local(local_device) as local, Bridge(broker_of(local_device)) as bridge:
        local.wait_health("1")
        assert eviction.evict_bridge(tenant_of(local_device), bridge).accepted
        local.wait_health("0")
        local.wait_health("1")
    assert local_device.tenant.messages(local_device.device_id) == []
