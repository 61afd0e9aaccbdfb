# SPDX-License-Identifier: Apache-2.0
"""What the tests of a switch share."""

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
    """The exit code that the step would have, and what it would say last."""
    return outcome(lambda: recipes.verify(instance_of(device)))


def refuse(device: LocalDevice, serial: str, **fault: Any) -> None:
    """Let the tenant refuse this certificate by MQTT."""
    device.tenant.fault(where="mqtt", serials=[serial], **(fault or {"do": "connack", "code": 5}))
