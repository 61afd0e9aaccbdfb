# SPDX-License-Identifier: Apache-2.0
"""A renewal over a bad link, the bridge's connection included."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from faults.link import Link, linked
from faults.record import LostDeviceError, Matrix
from unit.connected import certify, configure, connect, serial_of, serials
from unit.local_device import LocalDevice

pytestmark = pytest.mark.row("Network")
NEAR = Link(0.2, 0.05, seed=3)
FAR = [Link(2.0, 0.05, seed=seed) for seed in (1, 2)] + [Link(2.0, 0.05, 0.3, seed=3)]


@contextmanager
def far_away(device: LocalDevice, link: Link) -> Iterator[None]:
    """Everything between the device and its tenant goes over the link."""
    with ExitStack() as stack:
        for name, port in (("http", device.tenant.http_port), ("mqtt", device.tenant.mqtt_port)):
            new = stack.enter_context(linked(link, ("127.0.0.1", port)))
            configure(device, f'{name} = "127.0.0.1:{port}"', f'{name} = "127.0.0.1:{new}"')
        connect(device)
        yield
        device.stop_broker()


def renewed(device: LocalDevice, matrix: Matrix, runs: int) -> None:
    """Let the steps run as the timer has them run, at most so many times, until the new certificate is in use."""
    old = serial_of(device.certificate)
    for _ in range(runs):
        for words in ("tedge-cert-renew --systemd c8y", "tedge-cert-verify c8y"):
            done = device.run(words, 600)
            matrix.said(done.stderr)
            if done.exit:
                break
        if done.exit == 0:
            break
    if done.exit:
        raise LostDeviceError(done.stderr)
    new = serial_of(device.certificate)
    assert new != old
    assert serials(device) == (new, None, None)
    device.tenant.wait_connected(device.device_id, serial=new, timeout_s=90)


def test_a_link_of_a_mobile_network(local_device: LocalDevice, matrix: Matrix) -> None:
    certify(local_device)
    with far_away(local_device, NEAR), matrix.case(str(NEAR)):
        renewed(local_device, matrix, 1)


@pytest.mark.whole
@pytest.mark.parametrize("link", FAR, ids=str)
def test_a_link_by_satellite(local_device: LocalDevice, matrix: Matrix, link: Link) -> None:
    certify(local_device)
    with far_away(local_device, link), matrix.case(str(link)):
        # What is reset may need the next hour's run.
        renewed(local_device, matrix, 3 if link.resets else 1)


@pytest.mark.whole
@pytest.mark.parametrize("delay_s", [5, 30])
def test_every_acknowledgement_is_slow(local_device: LocalDevice, matrix: Matrix, delay_s: int) -> None:
    """Bridge and probe must not push each other out in turn."""
    certify(local_device)
    connect(local_device)
    local_device.tenant.fault(where="mqtt", do="slow-puback", delay_s=delay_s, topic="s/us")
    with matrix.case(f"PUBACK after {delay_s} s"):
        renewed(local_device, matrix, 1)
    assert local_device.tenant.device(local_device.device_id)["evictions"] <= 4
