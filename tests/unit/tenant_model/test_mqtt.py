# SPDX-License-Identifier: Apache-2.0
"""The MQTT side of the tenant against real clients: paho, mosquitto, and bare TLS."""

import queue
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
import requests

from tenant.bridge import MOSQUITTO, bridged
from tenant.client import Tenant
from tenant.device import Device

ACCEPTED, BAD_PASSWORD, NOT_AUTHORIZED = "Success", "Bad user name or password", "Not authorized"


@pytest.fixture
def device(tenant: Tenant, tmp_path: Path, request: pytest.FixtureRequest) -> Device:
    return Device(tenant, tmp_path, str(request.node.name)[:60])


def test_a_hundred_messages(tenant: Tenant, device: Device) -> None:
    client = device.connect()
    assert device.hears("connack") == ACCEPTED
    sent = [client.publish("t/us", str(number), qos=number % 3) for number in range(100)]
    for message in sent:
        message.wait_for_publish(20)
    found = tenant.wait_messages(device.name, 100)
    assert sorted(int(m["payload"]) for m in found) == list(range(100))
    assert {m["serial"] for m in found} == {device.serial}
    client.disconnect()
    client.loop_stop()
    assert tenant.wait_disconnected(device.name)["connections"][0]["why_closed"] == "disconnected by the client"


def test_a_second_connection_evicts_the_first(tenant: Tenant, device: Device) -> None:
    clients = [device.connect()]
    assert device.hears("connack") == ACCEPTED
    clients.append(device.connect())
    assert {device.heard.get(timeout=20)[0] for _ in "12"} == {"connack", "disconnect"}
    seen = tenant.wait_connected(device.name, connections=2)
    assert (seen["evictions"], seen["connections"][0]["why_closed"]) == (1, "evicted")
    for client in clients:
        client.loop_stop()


def test_refusals(tenant: Tenant, device: Device, tmp_path: Path) -> None:
    assert device.alert() == "no alert"
    bare = ssl.create_default_context(cafile=str(tenant.server_ca))
    with socket.create_connection(("127.0.0.1", tenant.mqtt_port), timeout=20) as raw:
        secured = bare.wrap_socket(raw, server_hostname="localhost")
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            secured.recv(1)
    expired = Device(tenant, tmp_path, "old", not_before_offset_s=-600, lifetime_s=-60)
    assert expired.alert() == "SSLV3_ALERT_CERTIFICATE_EXPIRED"
    tenant.fault(where="mqtt", do="tls-unknown-ca", except_serials=[device.serial])
    spared, refused = device, Device(tenant, tmp_path, device.name)
    assert (spared.alert(), refused.alert()) == ("no alert", "TLSV1_ALERT_UNKNOWN_CA")
    tenant.clear_faults()
    tenant.fault(where="mqtt", do="connack", code=4, serials=[refused.serial])
    refused.connect().loop_stop()
    assert refused.hears("connack") == BAD_PASSWORD
    spared.connect("another").loop_stop()
    assert spared.hears("connack") == NOT_AUTHORIZED
    tenant.revoke(spared.serial)
    tenant.settings(revoked_answer="tls-revoked")
    assert spared.alert() == "SSLV3_ALERT_CERTIFICATE_REVOKED"


def test_a_slow_puback_and_none_at_all(tenant: Tenant, device: Device) -> None:
    client = device.connect()
    device.hears("connack")
    tenant.fault(where="mqtt", do="slow-puback", delay_s=0.5, device=device.name, times=1)
    begun = time.monotonic()
    client.publish("s/us", "100,a,b", qos=1).wait_for_publish(20)
    assert time.monotonic() - begun >= 0.5
    tenant.fault(where="mqtt", do="no-puback", device=device.name, topic="s/us", times=1)
    lost = client.publish("s/us", "lost", qos=1)
    client.publish("s/us", "answered", qos=1).wait_for_publish(20)
    assert not lost.is_published()
    tenant.fault(where="mqtt", do="close-after-publish", device=device.name)
    client.publish("s/us", "last")
    device.hears("disconnect")
    client.loop_stop()


def test_accepts_once_and_refuses_then(tenant: Tenant, device: Device) -> None:
    tenant.fault(where="mqtt", do="tls-unknown-ca", serials=[device.serial], accept_first=1)
    client = device.connect()
    assert device.hears("connack") == ACCEPTED
    assert device.alert() == "TLSV1_ALERT_UNKNOWN_CA"
    assert tenant.drop(device.name)
    device.hears("disconnect")
    client.loop_stop()


def test_faults_of_tokens(tenant: Tenant, device: Device) -> None:
    tenant.fault(where="token", do="malformed", payload="71,broken", times=1)
    assert device.token() == "broken"
    tenant.fault(where="token", do="expired", times=1)
    url = f"https://localhost:{tenant.http_port}/tenant/currentTenant"
    for status in (401, 200):
        bearer = {"Authorization": f"Bearer {device.token()}"}
        assert requests.get(url, headers=bearer, verify=str(tenant.server_ca), timeout=20).status_code == status


@pytest.fixture
def local(device: Device, tmp_path: Path) -> Iterator[paho.Client]:
    """A client of a mosquitto that is bridged to the tenant."""
    if MOSQUITTO is None:
        pytest.skip("no mosquitto here")
    with bridged(MOSQUITTO, device, tmp_path) as client:
        yield client


def hear(device: Device, *wanted: tuple[str, str]) -> None:
    """Wait until the wanted have come, in this order; others may lie between."""
    for topic, text in wanted:
        while True:
            found = device.heard.get(timeout=20)
            if found[0] == topic and found[1].startswith(text):
                break


def test_a_mosquitto_bridge(tenant: Tenant, device: Device, local: paho.Client) -> None:
    hear(device, ("health", "1"))
    tenant.wait_connected(device.name, serial=device.serial)
    local.publish("c8y/s/uat", b"")
    hear(device, ("c8y/s/dat", "71,"))
    other = Device.__new__(Device)
    other.__dict__ = {**device.__dict__, "heard": queue.Queue()}
    client = other.connect()
    assert other.hears("connack") == ACCEPTED
    hear(device, ("health", "0"), ("health", "1"))
    other.hears("disconnect")
    client.loop_stop()
    assert tenant.wait_connected(device.name, connections=3)["evictions"] == 2
    local.publish("c8y/s/us", "100,bridge,type", qos=1)
    assert tenant.wait_messages(device.name, topic="s/us")[0]["payload"] == "100,bridge,type"
    tenant.publish(device.name, "s/ds", "510,restart", qos=1)
    hear(device, ("c8y/s/ds", "510,restart"))
    local.publish("c8y/s/uat", b"")
    hear(device, ("c8y/s/dat", "71,"))


def test_a_bridge_that_marks_itself(tenant: Tenant, device: Device, tmp_path: Path) -> None:
    if MOSQUITTO is None:
        pytest.skip("no mosquitto here")
    with bridged(MOSQUITTO, device, tmp_path, private="true"):
        hear(device, ("health", "1"))
