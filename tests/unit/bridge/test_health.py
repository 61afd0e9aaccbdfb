# SPDX-License-Identifier: Apache-2.0
"""The bridge as the local broker shows it."""

import time

import pytest
from pytest_mock import MockerFixture

from tedge_cert.bridge import health as module
from tedge_cert.bridge.health import Bridge, open_bridge
from tedge_cert.errors import NoAnswerError
from unit.connected import certify, connect, cut_bridge, freeze, hurry, instance_of
from unit.local_client import HEALTH, Local
from unit.local_device import LocalDevice


@pytest.fixture
def device(local_device: LocalDevice, mocker: MockerFixture) -> LocalDevice:
    """A connected device."""
    hurry(mocker, TOKEN_WAIT_S=0.5)
    certify(local_device)
    connect(local_device)
    return local_device


def test_falls_and_returns(device: LocalDevice) -> None:
    with Bridge(instance_of(device)) as bridge:
        begun_s = time.monotonic()
        assert bridge.is_up
        assert bridge.wait_until_up(0)
        # That it is up is no return: nothing has changed.
        assert not bridge.wait_for_return(begun_s - 60, 0.2)
        assert not bridge.wait_for_fall(begun_s - 60, 0.2)
        assert bridge.fell_at_s(begun_s - 60) is None
        device.tenant.drop(device.device_id)
        assert bridge.wait_for_fall(begun_s, 10)
        assert not bridge.is_up
        assert not bridge.wait_until_up(0.2)
        fell_s = bridge.fell_at_s(begun_s)
        assert fell_s is not None
        assert begun_s < fell_s < time.monotonic()
        assert bridge.wait_for_return(begun_s, 10)
        returned_s = time.monotonic()
        assert bridge.is_up
        assert returned_s - fell_s >= module.LEAST_PAUSE_S
        assert not bridge.wait_for_return(returned_s, 0.1)
        assert bridge.fell_at_s(returned_s) is None
        device.tenant.drop(device.device_id)
        assert bridge.wait_for_fall(returned_s, 10)
        again_s = bridge.fell_at_s(begun_s)
        assert again_s is not None
        assert again_s > returned_s


def test_a_token(device: LocalDevice) -> None:
    with Bridge(instance_of(device)) as bridge:
        first, second = bridge.token(), bridge.token()
        assert first.count(".") == second.count(".") == 2
        assert first != second
        device.tenant.fault(where="token", do="late", delay_s=0.2, times=1)
        assert bridge.token() not in (first, second)


def test_a_token_that_is_lost_is_asked_for_again(device: LocalDevice) -> None:
    device.tenant.fault(where="token", do="silence", times=1)
    with Bridge(instance_of(device)) as bridge:
        assert bridge.token()


def test_no_answer_of_before_is_taken(device: LocalDevice) -> None:
    """Anybody on the device may have asked; their answer, or none at all, is not ours."""
    device.tenant.fault(where="token", do="silence")
    with Bridge(instance_of(device)) as bridge, Local(device) as local:
        local.client.publish("c8y/s/dat", "71,of.somebody.else", qos=1, retain=True).wait_for_publish()
        for words in ("72,other", "71,", "41,error"):
            local.client.publish("c8y/s/dat", words, qos=1).wait_for_publish()
        # The broker delivers in order, so the answers have come when this has.
        local.client.publish(HEALTH, "0", qos=1).wait_for_publish()
        assert bridge.wait_for_fall(0, 5)
        with pytest.raises(NoAnswerError, match=r"no token came through the bridge within 1 s of asking on c8y/s/uat"):
            bridge.token()
        local.client.publish("c8y/s/dat", b"", qos=1, retain=True).wait_for_publish()


def test_a_bridge_that_is_down(device: LocalDevice) -> None:
    cut_bridge(device)
    with Bridge(instance_of(device)) as bridge:
        assert not bridge.is_up
        device.tenant.clear_faults()
        assert bridge.wait_until_up(20)


def test_a_broker_that_knows_of_no_bridge(device: LocalDevice) -> None:
    instance = instance_of(device)
    instance.bridge_file.write_text("")
    device.stop_broker()
    device.start_broker()
    with Bridge(instance) as bridge:
        assert not bridge.is_up


def test_where_there_is_none(device: LocalDevice, mocker: MockerFixture) -> None:
    instance = instance_of(device)
    found = open_bridge(instance)
    assert found is not None
    found.close()
    mocker.patch.object(module, "CONNECT_S", 0.5)
    freeze(device)
    assert open_bridge(instance) is None
    device.stop_broker()
    assert open_bridge(instance) is None
    device.start_broker()
    instance.bridge_file.unlink()
    assert open_bridge(instance) is None
