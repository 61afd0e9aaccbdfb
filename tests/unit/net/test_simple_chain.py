# SPDX-License-Identifier: Apache-2.0
"""A server's chain as simple tools make it, which mosquitto takes, is taken by everything that connects."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from pytest_mock import MockerFixture

from tedge_cert.net import https, tls
from tedge_cert.net.tls import ClientContext
from tenant.client import Tenant
from unit.answering import server_at
from unit.connected import hurry, instance_of, serial_of
from unit.local_device import LocalDevice
from unit.recipes import verify


class Strict(ClientContext):
    """A context as a library of the day might begin it."""

    def __new__(cls, *arguments: Any) -> Self:
        made = super().__new__(cls, *arguments)
        made.verify_flags |= ssl.VERIFY_X509_STRICT
        return made


@pytest.fixture
def device(tmp_path: Path) -> Iterator[LocalDevice]:
    """A device of a tenant with such a chain."""
    with Tenant.start(tmp_path / "tenant", simple_chain=True) as tenant:
        made = LocalDevice(tmp_path / "device", tenant)
        yield made
        made.stop_broker()


def test_registered_connected_and_renewed(device: LocalDevice, mocker: MockerFixture) -> None:
    """The certificate comes by HTTPS; the new one is proved by MQTT, and taken up by the bridge."""
    hurry(mocker)
    registered = device.register()
    assert registered.exit == 0, registered.stderr
    connected = device.connect()
    assert connected.exit == 0, connected.stderr
    renewed = device.run("tedge-cert-renew c8y")
    assert renewed.exit == 0, renewed.stderr
    new = serial_of(device.candidate)
    assert verify(instance_of(device)) == 0
    device.tenant.wait_connected(device.device_id, serial=new)


def test_no_context_is_a_strict_one(device: LocalDevice, mocker: MockerFixture) -> None:
    """Neither one that the HTTP library makes (strict since urllib3 2.4 on Python 3.13), nor one that begins so."""
    for module in ("urllib3.util.ssl_", "urllib3.connection"):
        mocker.patch(f"{module}.create_urllib3_context", side_effect=AssertionError)
    mocker.patch.object(tls, "ClientContext", Strict)
    answer = https.ask(server_at(device.tenant.http_port, device.tenant.server_ca), https.Request("GET", "/none"))
    assert answer.status == 404
