# SPDX-License-Identifier: Apache-2.0
"""An MQTT connection: every wait ends, and its end says what happened."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tedge_cert.net.anchors import Trust
from tedge_cert.net.mqtt import ConnackError, Connection, ConnectionClosedError
from tedge_cert.net.tls import client_context
from tenant.ports import free_port
from unit.answering import ROOTS
from unit.connected import certify, connect, freeze, key_file, tenant_of
from unit.local_device import LocalDevice


@pytest.fixture
def device(local_device: LocalDevice) -> LocalDevice:
    """A device with a certificate."""
    certify(local_device)
    return local_device


def to_tenant(device: LocalDevice, timeout_s: float = 10) -> Connection:
    context = client_context(Trust(device.tenant.server_ca, ROOTS), device.certificate, key_file(device))
    return Connection(tenant_of(device).mqtt, device.device_id, timeout_s, context)


def fault(device: LocalDevice, **more: Any) -> None:
    device.tenant.fault(where="mqtt", device=device.device_id, **more)


@pytest.mark.parametrize(
    ("code", "words"),
    [(2, "identifier"), (3, "unavailable"), (4, "bad user name or password"), (5, "not auth")],
)
def test_connack(device: LocalDevice, code: int, words: str) -> None:
    fault(device, do="connack", code=code)
    with pytest.raises(ConnackError, match=rf"CONNACK {code} \(.*{words}") as caught:
        to_tenant(device)
    assert caught.value.code == code


@pytest.mark.parametrize("do", ["silent-after-connect", "silent-at-accept"])
def test_silence_ends(device: LocalDevice, do: str) -> None:
    device.tenant.fault(where="mqtt", do=do)
    begun_s = time.monotonic()
    with pytest.raises(TimeoutError):
        to_tenant(device, 0.5)
    assert 0.5 <= time.monotonic() - begun_s < 5


@pytest.mark.parametrize("do", ["close", "reset", "reset-at-accept"])
def test_an_end_before_connack(device: LocalDevice, do: str) -> None:
    device.tenant.fault(where="mqtt", do=do)
    with pytest.raises(OSError, match=r"closed before the CONNACK|reset by peer|EOF|Errno"):
        to_tenant(device)


def test_nothing_listens() -> None:
    with pytest.raises(ConnectionRefusedError):
        Connection(("127.0.0.1", free_port()), "", 5)


def test_publish_and_receive(device: LocalDevice) -> None:
    with to_tenant(device) as connection:
        connection.subscribe("s/dat")
        begun_s = time.monotonic()
        connection.publish("s/us", "100,name,type")
        connection.publish("s/uat", "", qos=0)
        connection.publish("s/uat", "", qos=0)
        found = [connection.next_message(10) for _ in "12"]
        assert all(each.topic == "s/dat" and each.payload.startswith(b"71,") for each in found)
        assert begun_s < found[0].at_s <= found[1].at_s <= time.monotonic()
        assert found[0].payload != found[1].payload
        with pytest.raises(TimeoutError, match="no message in time"):
            connection.next_message(0.1)
    seen = device.tenant.wait_disconnected(device.device_id)["connections"][-1]
    assert seen["why_closed"] == "disconnected by the client"
    assert [each["qos"] for each in device.tenant.messages(device.device_id)] == [1, 0, 0]


def test_no_puback(device: LocalDevice) -> None:
    fault(device, do="no-puback")
    with to_tenant(device) as connection, pytest.raises(TimeoutError, match="PUBACK"):
        connection.publish("s/us", "100", timeout_s=0.3)


@pytest.mark.parametrize("wait", ["publish", "subscribe", "message"])
def test_an_end_during_a_wait(device: LocalDevice, wait: str) -> None:
    fault(device, do="close-after-publish")
    connection = to_tenant(device)
    waits: dict[str, Callable[[], object]] = {
        "publish": lambda: connection.publish("s/us", "101"),
        "subscribe": lambda: connection.subscribe("s/ds"),
        "message": lambda: connection.next_message(10),
    }
    with connection:
        connection.publish("s/us", "100", qos=0)
        device.tenant.wait_disconnected(device.device_id)
        with pytest.raises(ConnectionClosedError, match="closed before"):
            waits[wait]()


def test_what_a_handler_takes(device: LocalDevice) -> None:
    """Messages go to the handler instead, over a broker without TLS and without a client id."""
    connect(device)
    heard: list[str] = []
    with (
        Connection(("127.0.0.1", device.port), "", 5, on_message=lambda m: heard.append(m.payload.decode())) as one,
        Connection(("127.0.0.1", device.port), "", 5) as other,
    ):
        one.subscribe("test/#")
        other.subscribe("test/done")
        one.publish("test/a", "1")
        one.publish("test/a", "2")
        one.publish("test/done", "3")
        assert other.next_message(10).payload == b"3"
        with pytest.raises(TimeoutError):
            one.next_message(0.1)
    assert heard == ["1", "2", "3"]


def test_a_broker_that_hangs(device: LocalDevice) -> None:
    connect(device)
    freeze(device)
    with pytest.raises(TimeoutError, match="no CONNACK in time"):
        Connection(("127.0.0.1", device.port), "", 0.5)
