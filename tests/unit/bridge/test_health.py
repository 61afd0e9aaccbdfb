# SPDX-License-Identifier: Apache-2.0
"""The bridge as the local broker shows it."""

import time

import pytest
from pytest_mock import MockerFixture

from tedge_cert.bridge import health as module
from tedge_cert.bridge.health import Bridge
from tedge_cert.bridge.kinds import open_bridge
from tedge_cert.net.mqtt import Message
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
        assert bridge.reads_again_s(fell_s) <= returned_s
        assert fell_s < (bridge.returned_at_s(begun_s) or 0) <= returned_s
        assert not bridge.wait_for_return(returned_s, 0.1)
        assert bridge.fell_at_s(returned_s) is None
        bridge_device.tenant.drop(bridge_device.device_id)
        assert bridge.wait_for_fall(returned_s, 10)
        again_s = bridge.fell_at_s(begun_s)
        assert again_s is not None
        assert again_s > returned_s


@pytest.mark.parametrize(
    ("version", "suspended_s", "reads_again_s"),
    [
        ("mosquitto version 2.0.11", 0.0, 102.0),
        ("mosquitto version 2.0.18", 0.0, 102.0),
        # The broker counts the seconds of the time of day, which is 0.4 s ahead here.
        ("mosquitto version 2.0.19", 7.25, 101.6),
        ("mosquitto version 2.0.21", 7.25, 101.6),
        ("mosquitto version 2.0.22", 0.0, 102.0),
        ("mosquitto version 2.1.2", 0.0, 101.0),
        ("another broker", 0.0, 101.0),
        # The broker may count the seconds of either clock.
        ("mosquitto version 2.0.11", 7.25, 101.75),
        ("mosquitto version 2.1.2", 7.25, 100.75),
    ],
)
def test_when_the_certificate_is_read_again(
    bridge_device: LocalDevice, mocker: MockerFixture, version: str, suspended_s: float, reads_again_s: float
) -> None:
    """Heard at 100.6, the fall may have been at 100.5."""
    with Bridge(broker_of(bridge_device)) as bridge:
        bridge._handle(Message("$SYS/broker/version", version.encode(), 0.0))
        mocker.patch.object(time, "monotonic", return_value=50.0)
        clocks = {
            time.CLOCK_MONOTONIC: 50.0, time.CLOCK_BOOTTIME: 50.0 + suspended_s, time.CLOCK_REALTIME: 1_800_000_050.4,
        }  # fmt: skip
        mocker.patch.object(time, "clock_gettime", side_effect=clocks.get)
        found_s = bridge.reads_again_s(100.6)
        mocker.stopall()
    assert found_s == pytest.approx(reads_again_s)


def test_the_broker_tells_its_version(bridge_device: LocalDevice, mocker: MockerFixture) -> None:
    told = mocker.spy(Bridge, "_note_other")
    with Bridge(broker_of(bridge_device)):
        assert told.call_args.args[2].startswith("mosquitto version ")


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
