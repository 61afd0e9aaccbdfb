# SPDX-License-Identifier: Apache-2.0
"""The tenant takes user and password of a device, over MQTT and over HTTPS."""

import queue
import ssl

import paho.mqtt.client as paho
import pytest
import requests

from tenant.client import Tenant
from tenant.device import new_client

USER, PASSWORD = "device_basic-1", "a word"
NOT_AUTHORIZED = "Not authorized"


def connect(tenant: Tenant, user: str | None, password: str) -> tuple[paho.Client, "queue.Queue[tuple[str, str]]"]:
    heard: queue.Queue[tuple[str, str]] = queue.Queue()
    client = new_client(client_id="basic-1", reconnect_on_failure=False)
    client.tls_set_context(ssl.create_default_context(cafile=str(tenant.server_ca)))
    if user is not None:
        client.username_pw_set(user, password)
    client.on_connect = lambda *a: heard.put(("connack", str(a[3])))
    client.on_subscribe = lambda *_: heard.put(("suback", ""))
    client.on_message = lambda _c, _u, message: heard.put((message.topic, message.payload.decode()))
    client.connect("127.0.0.1", tenant.mqtt_port)
    client.loop_start()
    return client, heard


@pytest.mark.parametrize("user", [USER, f"t1/{USER}"])
def test_a_device_by_its_user(tenant: Tenant, user: str) -> None:
    tenant.settings(device_users={USER: PASSWORD})
    client, heard = connect(tenant, user, PASSWORD)
    assert heard.get(timeout=20) == ("connack", "Success")
    client.subscribe([("s/ds", 1), ("s/dat", 0)])
    assert heard.get(timeout=20) == ("suback", "")
    client.publish("s/us", "100,basic-1,thin-edge.io", 1)
    client.publish("s/uat", "")
    client.publish("s/us", "123", 1)
    topic, payload = heard.get(timeout=20)
    assert (topic, payload[:4], payload[4:].isdecimal()) == ("s/ds", "124,", True), "no token goes to a password"
    client.disconnect()
    client.loop_stop()
    assert tenant.wait_disconnected("basic-1")


@pytest.mark.parametrize(("user", "password"), [(USER, "another"), ("device_other", PASSWORD), (None, "")])
def test_nobody_else(tenant: Tenant, user: str | None, password: str) -> None:
    tenant.settings(device_users={USER: PASSWORD})
    client, heard = connect(tenant, user, password)
    assert heard.get(timeout=20) == ("connack", NOT_AUTHORIZED)
    client.loop_stop()


@pytest.mark.parametrize(("password", "status"), [(PASSWORD, 200), ("another", 401)])
def test_its_requests(tenant: Tenant, password: str, status: int) -> None:
    tenant.settings(device_users={USER: PASSWORD})
    url = f"https://localhost:{tenant.http_port}/inventory/managedObjects"
    answer = requests.get(url, auth=(USER, password), verify=str(tenant.server_ca), timeout=20)
    assert answer.status_code == status
