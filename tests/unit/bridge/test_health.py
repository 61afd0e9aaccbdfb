# SPDX-License-Identifier: Apache-2.0
"""The bridge as the local broker shows it."""

import time

from pytest_mock import MockerFixture

from tedge_cert.bridge import health as module
from tedge_cert.bridge.health import Bridge
from tedge_cert.bridge.kinds import open_bridge
from unit.connected import broker_of, cut_bridge, freeze
from unit.local_device import LocalDevice


def test_falls_and_returns(bridge_device: LocalDevice) -> None:
    with Bridge(broker_of(bridge_device)) as bridge:
        begun_s = time.monotonic()
        assert bridge.is_up
        assert bridge.wait_until_up(0)
        # The bridge is up, but it did not return: nothing has changed.
        assert not bridge.wait_for_return(begun_s - 60, 0.2)
        assert not bridge.wait_for_fall(begun_s - 60, 0.2)
        assert bridge.fell_at_s(begun_s - 60) is None
        bridge_device.tenant.drop(bridge_device.device_id)
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
        bridge_device.tenant.drop(bridge_device.device_id)
        assert bridge.wait_for_fall(returned_s, 10)
        again_s = bridge.fell_at_s(begun_s)
        assert again_s is not None
        assert again_s > returned_s


def test_a_bridge_that_is_down(bridge_device: LocalDevice) -> None:
    cut_bridge(bridge_device)
    with Bridge(broker_of(bridge_device)) as bridge:
        assert not bridge.is_up
        bridge_device.tenant.clear_faults()
        assert bridge.wait_until_up(20)


def test_a_broker_that_knows_of_no_bridge(bridge_device: LocalDevice) -> None:
    broker_of(bridge_device).bridge_file.write_text("")
    bridge_device.stop_broker()
    bridge_device.start_broker()
    with Bridge(broker_of(bridge_device)) as bridge:
        assert not bridge.is_up


def test_where_there_is_none(bridge_device: LocalDevice, mocker: MockerFixture) -> None:
    broker = broker_of(bridge_device)
    found = open_bridge(broker)
    assert found is not None
    found.close()
    mocker.patch.object(module, "CONNECT_S", 0.5)
    freeze(bridge_device)
    assert open_bridge(broker) is None
    bridge_device.stop_broker()
    assert open_bridge(broker) is None
    bridge_device.start_broker()
    broker.bridge_file.unlink()
    assert open_bridge(broker) is None
