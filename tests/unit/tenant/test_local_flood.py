# SPDX-License-Identifier: Apache-2.0
"""A local client that floods the topics of the bridge's answers."""

import resource
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pytest_mock import MockerFixture

from tedge_cert.bridge import health as module
from tedge_cert.bridge.health import Bridge
from tedge_cert.errors import NoAnswerError
from tedge_cert.net import mqtt
from tedge_cert.tenant import smartrest
from unit.connected import broker_of, certify, connect, hurry, serials
from unit.local_client import HEALTH, Local
from unit.local_device import MOSQUITTO, LocalDevice

FORGED = "71,eyJhbGciOiJub25lIn0.eyJzdWIiOiJmb3JnZWQifQ.Zm9yZ2Vk"


@pytest.fixture
def device(local_device: LocalDevice) -> LocalDevice:
    """A connected device."""
    certify(local_device)
    connect(local_device)
    return local_device


@contextmanager
def flooded(device: LocalDevice, *messages: tuple[str, str]) -> Iterator[None]:
    """Publish these again and again, none of them acknowledged, until the block ends."""
    over, begun = threading.Event(), threading.Event()

    def flood() -> None:
        with Local(device) as local:
            while not over.is_set():
                for _ in range(50):
                    for topic, payload in messages:
                        sent = local.client.publish(topic, payload, qos=0)
                sent.wait_for_publish(10)
                begun.set()

    thread = threading.Thread(target=flood)
    thread.start()
    assert begun.wait(10)
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_forged_token_is_refused_and_an_own_connection_asks(device: LocalDevice) -> None:
    # The tenant's own answer comes after the forged one, whichever of the two questions arrives there first.
    device.tenant.fault(where="token", do="late", delay_s=5)
    # The bridge, which our own connection pushes out, does not push back before that has its answer.
    device.tenant.fault(where="mqtt", do="close", device=device.device_id, accept_first=1)
    with flooded(device, ("c8y/s/dat", FORGED)):
        done = device.run("tedge-cert-renew c8y")
    assert done.exit == 0, done
    assert "refused the token (401)" in done.stderr
    assert "token received over a connection of our own" in done.stderr
    assert FORGED[3:] not in done.stderr
    assert serials(device)[1]


@pytest.mark.parametrize("payload", ["71,\u20ac", "71,a b", "71,a\nX-Forged: y", "71,\x1b[2J", "71," + "a" * 9000])
def test_what_cannot_be_a_token_is_none(device: LocalDevice, mocker: MockerFixture, payload: str) -> None:
    hurry(mocker, TOKEN_WAIT_S=0.5)
    device.tenant.fault(where="token", do="silence")
    with flooded(device, ("c8y/s/dat", payload)), Bridge(broker_of(device)) as bridge:
        begun_s = time.monotonic()
        with pytest.raises(NoAnswerError, match="no token came through the bridge"):
            smartrest.token_through(bridge)
        assert time.monotonic() - begun_s < 5


def test_what_is_heard_takes_no_more_and_more_memory(device: LocalDevice, mocker: MockerFixture) -> None:
    mocker.patch.object(module, "_CHANGES", 10)
    with Bridge(broker_of(device)) as bridge, Local(device) as local:
        bridge.ask("s/uat", "", "s/dat", smartrest.token_in, attempts=1, wait_s=0)
        for number in range(2000):
            local.client.publish(HEALTH, str(number % 2), qos=0)
            local.client.publish("c8y/s/dat", FORGED, qos=0)
        local.client.publish(HEALTH, "0", qos=1).wait_for_publish(10)
        assert bridge.wait_for_fall(0, 20)
        assert len(bridge._changes) == 10
    assert bridge._answer == FORGED[3:]


def is_bounded_by_the_broker() -> bool:
    """Whether mosquitto takes no packet above 2 MB (2.1, unless it is told otherwise): it drops the sender then."""
    said = subprocess.run([str(MOSQUITTO), "-h"], capture_output=True, text=True, check=False).stdout
    return not said.startswith("mosquitto version 2.0.")


def test_a_message_of_any_size_is_not_read(device: LocalDevice) -> None:
    if is_bounded_by_the_broker():
        pytest.skip("this mosquitto does not pass on a message of that size")
    size = 64 * mqtt.LIMIT_BYTES
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Local(device) as local:
        huge = b"71," + b"a" * size
        with Bridge(broker_of(device)) as bridge:
            bridge.ask("s/uat", "", "s/dat", smartrest.token_in, attempts=1, wait_s=0)
            local.client.publish("c8y/s/dat", huge, qos=1).wait_for_publish(30)
            assert not bridge.wait_for_fall(0, 30)
            assert bridge.is_lost
    # The message, as this process sent it, and no copy more.
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < 4 * size
    done = device.run("tedge-cert-renew c8y")
    assert done.exit == 0, done


def test_a_renewal_whose_health_topic_is_flooded(device: LocalDevice) -> None:
    device.tenant.settings(lifetime_s=400 * 86_400)
    assert device.run("tedge-cert-renew c8y").exit == 0
    new = serials(device)[1]
    with flooded(device, (HEALTH, "1"), (HEALTH, "0")):
        begun_s = time.monotonic()
        done = device.run("tedge-cert-verify c8y")
        assert time.monotonic() - begun_s < 180
    assert "Traceback" not in done.stderr
    assert device.run("tedge-cert-verify c8y").exit in (0, 1)
    assert serials(device)[0] == new or serials(device)[1] == new, done
    device.tenant.wait_connected(device.device_id)
