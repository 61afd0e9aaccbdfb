# SPDX-License-Identifier: Apache-2.0
"""Helpers of the tests of `tedge reconnect`."""

from pathlib import Path
from typing import Any

from pytest_mock import MockerFixture

from tedge_cert.bridge import conf_files, mosquitto_conf
from tedge_cert.commands import reconnect
from unit.connected import files_of, hurry, instance_of, mosquitto_of, outcome
from unit.local_client import Local
from unit.local_device import LocalDevice


def quicken(mocker: MockerFixture) -> None:
    """Shorten waits and the pauses of the bridge, as if the product wrote it so."""
    written = mosquitto_conf.bridge_text

    def quicker(wanted: Any, found: Any = None) -> str:
        return written(wanted, found).replace("restart_timeout 1 30", "restart_timeout 1 2")

    mocker.patch.object(mosquitto_conf, "bridge_text", quicker)
    hurry(mocker)
    mocker.patch.object(reconnect, "BRIDGE_WAIT_S", 8.0)


def connect(device: LocalDevice) -> None:
    """Write the bridge's configuration, and wait until the bridge is up."""
    wanted, of = mosquitto_of(device), files_of(device)
    conf_files.listener_placement(of).put(mosquitto_conf.listener_text(wanted.listener))
    conf_files.bridge_placement(of).put(mosquitto_conf.bridge_text(wanted))
    device.start_broker()
    with Local(device) as local:
        local.wait_health("1")


def bridge_file(device: LocalDevice) -> Path:
    """Mosquitto's configuration of the bridge."""
    return instance_of(device).bridge_file


def go(device: LocalDevice, offline: bool = False) -> tuple[int, str]:
    """Reconnect; return the command's exit code and its last line."""
    codes: list[int] = []
    code, text = outcome(lambda: codes.append(reconnect.reconnect(instance_of(device), offline)))
    return (codes[0] if codes else code), text


def connections(device: LocalDevice) -> list[str]:
    """The serials of the certificates that the tenant has let in, in order."""
    return [each["serial"] for each in device.tenant.device(device.device_id)["connections"]]
