# SPDX-License-Identifier: Apache-2.0
"""The bridge is pushed out shortly before the end of a second of the broker's clock, where that is possible."""

import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from tedge_cert.bridge.health import Bridge
from tedge_cert.net.mqtt import Message
from tedge_cert.tenant import eviction, proof
from tedge_cert.tenant.own_connection import Answer
from unit.connected import broker_of, certify, configure, connect, tenant_of
from unit.local_device import LocalDevice
from unit.tls_server import TlsServer


@given(st.floats(0, eviction.LONGEST_LEAD_S), st.floats(0, 1e7))
def test_the_end_of_a_second(lead_s: float, clock_s: float) -> None:
    pause_s = eviction.pause_s(lead_s, clock_s)
    assert 0 <= pause_s < 1
    left_s = 1 - (clock_s + pause_s) % 1
    assert min(abs(left_s - lead_s), abs(left_s - lead_s - 1), abs(left_s - lead_s + 1)) < 1e-6


def test_a_way_too_slow_for_that() -> None:
    assert eviction.pause_s(eviction.LONGEST_LEAD_S + 0.01, 17.0) == 0


def test_what_the_kernel_knows_of_the_way(local_device: LocalDevice) -> None:
    """On this machine a round trip takes almost no time; the kernel knows it only after the connection."""
    with socket.create_connection(("127.0.0.1", local_device.tenant.mqtt_port)) as connection:
        assert eviction.HANDLING_S < eviction.lead_s(connection) < eviction.LONGEST_LEAD_S


@pytest.mark.parametrize(
    ("lead_s", "version", "clock"),
    [(0.3, "2.0.11", time.CLOCK_BOOTTIME), (0.3, "2.0.21", time.CLOCK_REALTIME), (0.9, "2.1.2", time.CLOCK_BOOTTIME)],
)
def test_connect_is_sent_at_the_moment(
    local_device: LocalDevice, mocker: MockerFixture, lead_s: float, version: str, clock: int
) -> None:
    """With a stopped clock the wait follows from that clock, and no packet is sent to the tenant before."""
    certify(local_device)
    connect(local_device)
    mocker.patch.object(eviction, "lead_s", return_value=lead_s)
    mocker.patch("time.clock_gettime", side_effect={clock: 7.4}.get)
    waited = mocker.spy(eviction, "pause_s")
    with Bridge(broker_of(local_device)) as bridge:
        bridge._handle(Message("$SYS/broker/version", f"mosquitto version {version}".encode(), 0.0))
        began_s = time.monotonic()
        assert proof.prove(tenant_of(local_device), local_device.certificate, bridge).accepted
        assert bridge.wait_for_fall(began_s, 10)
        fell_s = bridge.fell_at_s(began_s)
    assert waited.call_count == 1
    assert fell_s is not None
    assert fell_s - began_s >= waited.spy_return == pytest.approx(0.3 if lead_s == 0.3 else 0)


def test_no_bridge_to_push_out(local_device: LocalDevice, mocker: MockerFixture) -> None:
    certify(local_device)
    waited = mocker.spy(eviction, "pause_s")
    assert proof.prove(tenant_of(local_device), local_device.certificate).accepted
    assert waited.call_count == 0


def test_refused_while_it_waits(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """A refusal by TLS 1.3 comes after the handshake, and is not overtaken by what the server no longer reads."""
    mocker.patch.object(eviction, "pause_s", return_value=30.0)
    mocker.patch.object(proof, "PAUSE_S", 0.0)
    certify(local_device)
    connect(local_device)
    with TlsServer(local_device.tenant) as server, Bridge(broker_of(local_device)) as bridge:
        port = local_device.tenant.mqtt_port
        configure(local_device, f'mqtt = "127.0.0.1:{port}"', f'mqtt = "127.0.0.1:{server.port}"')
        verdict = proof.prove(tenant_of(local_device), local_device.certificate, bridge)
        assert verdict.answer is Answer.REFUSED, verdict
        assert "unknown ca" in verdict.reason
        assert server.met == proof.ATTEMPTS
