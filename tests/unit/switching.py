# SPDX-License-Identifier: Apache-2.0
"""Helpers of the tests of a switch."""

from typing import Any

from pytest_mock import MockerFixture

from unit import recipes
from unit.connected import certify, connect, hurry, instance_of, outcome
from unit.local_device import LocalDevice


def bridge(device: LocalDevice, mocker: MockerFixture) -> LocalDevice:
    """A connected device with ten days left, and shorter waits."""
    hurry(mocker)
    certify(device)
    connect(device)
    return device


def verify(device: LocalDevice) -> tuple[int, str]:
    """Run verify; return the step's exit code and its last line."""
    return outcome(lambda: recipes.verify(instance_of(device)))


def contacts(device: LocalDevice) -> int:
    """Return how often MQTT connections to the tenant succeeded and failed."""
    return len(device.tenant.device(device.device_id)["connections"]) + len(device.tenant.state()["failed_handshakes"])


def refuse(device: LocalDevice, serial: str, **fault: Any) -> None:
    """Let the tenant refuse this certificate by MQTT."""
    device.tenant.fault(where="mqtt", serials=[serial], **(fault or {"do": "connack", "code": 5}))
