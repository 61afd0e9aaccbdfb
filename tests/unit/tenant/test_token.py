# SPDX-License-Identifier: Apache-2.0
"""A token: through a bridge that works, otherwise over a connection of our own."""

import pytest
import requests
from pytest_mock import MockerFixture

from tedge_cert.device.connection_settings import connected_broker
from tedge_cert.errors import NoAnswerError
from tedge_cert.tenant import token as cloud
from tenant.ports import free_port
from unit.connected import certify, configure, connect, hurry, instance_of, misdirect, tenant_of
from unit.local_device import LocalDevice


def is_good(device: LocalDevice, token: str) -> bool:
    url = f"https://localhost:{device.tenant.http_port}/tenant/currentTenant"
    bearer = {"Authorization": f"Bearer {token}"}
    return requests.get(url, headers=bearer, verify=str(device.tenant.server_ca), timeout=20).status_code == 200


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("bridge", "token received through the bridge\n"),
        ("bridge down", "the bridge is down: asking for a token over a connection of our own\n"),
        ("no broker", "there is no bridge or no broker: asking for a token over a connection of our own\n"),
        ("silent", "no token came through the bridge within 0.6 s of asking on c8y/s/uat: asking for a token over"),
    ],
)
def test_both_ways(
    local_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str], way: str, said: str
) -> None:
    hurry(mocker, TOKEN_WAIT_S=0.3)
    serial = certify(local_device)
    connect(local_device)
    if way == "bridge down":
        misdirect(local_device)
    if way == "no broker":
        local_device.stop_broker()
    if way == "silent":
        local_device.tenant.fault(where="token", do="silence", times=2)
    token = cloud.request_token(tenant_of(local_device), connected_broker(instance_of(local_device)))
    assert is_good(local_device, token)
    text = capsys.readouterr().err
    assert text.startswith(said)
    assert token not in text
    assert {each["serial"] for each in local_device.tenant.device(local_device.device_id)["connections"]} == {serial}


def test_neither_way(local_device: LocalDevice, mocker: MockerFixture) -> None:
    hurry(mocker)
    certify(local_device)
    port = free_port()
    configure(local_device, f"127.0.0.1:{local_device.tenant.mqtt_port}", f"127.0.0.1:{port}")
    with pytest.raises(NoAnswerError) as caught:
        cloud.request_token(tenant_of(local_device), connected_broker(instance_of(local_device)))
    assert str(caught.value).startswith(
        "no token: there is no bridge or no broker, and over a connection of our own: no answer from "
        f"127.0.0.1:{port}: Connection refused; "
    )


def test_the_first_answer_that_is_a_token(local_device: LocalDevice, mocker: MockerFixture) -> None:
    hurry(mocker)
    certify(local_device)
    local_device.tenant.fault(where="token", do="late", delay_s=0.3, times=1)
    assert is_good(local_device, cloud.request_token_directly(tenant_of(local_device)))
