# SPDX-License-Identifier: Apache-2.0
"""The bridge as the local broker shows it."""

import time

import pytest
from pytest_mock import MockerFixture

from tedge_cert.bridge import health as module
from tedge_cert.bridge.health import Bridge, open_bridge
from unit.connected import broker_of, certify, connect, cut_bridge, freeze, hurry
from unit.local_device import LocalDevice


@pytest.fixture
def device(local_device: LocalDevice, mocker: MockerFixture) -> LocalDevice:
    """A connected device."""
    hurry(mocker, TOKEN_WAIT_S=0.5)
    certify(local_device)
    connect(local_device)
    return local_device


def test_falls_and_returns(device: LocalDevice) -> None:
    with Bridge(broker_of(device)) as bridge:
        begun_s = time.monotonic()
        assert bridge.is_up
        assert bridge.wait_until_up(0)
        # The bridge is up, but it did not return: nothing has changed.
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


def test_a_bridge_that_is_down(device: LocalDevice) -> None:
    cut_bridge(device)
    with Bridge(broker_of(device)) as bridge:
        assert not bridge.is_up
        device.tenant.clear_faults()
        assert bridge.wait_until_up(20)


def test_a_broker_that_knows_of_no_bridge(device: LocalDevice) -> None:
    broker_of(device).bridge_file.write_text("")
    device.stop_broker()
    device.start_broker()
    with Bridge(broker_of(device)) as bridge:
        assert not bridge.is_up


def test_where_there_is_none(device: LocalDevice, mocker: MockerFixture) -> None:
    broker = broker_of(device)
    found = open_bridge(broker)
    assert found is not None
    found.close()
    mocker.patch.object(module, "CONNECT_S", 0.5)
    freeze(device)
    assert open_bridge(broker) is None
    device.stop_broker()
    assert open_bridge(broker) is None
    device.start_broker()
    broker.bridge_file.unlink()
    assert open_bridge(broker) is None
