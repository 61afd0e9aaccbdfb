# SPDX-License-Identifier: Apache-2.0
"""Connecting killed before mosquitto is restarted: no bridge without its timer, and typed again it works."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import faults
from faults.hourly import read_log
from faults.record import LostDeviceError, Matrix
from faults.syscalls import Call
from system.device import Device
from system.renewer import TIMER
from tenant.client import Tenant

pytestmark = pytest.mark.one_release

BRIDGE = "/etc/tedge/mosquitto-conf/c8y-bridge.conf"
# Where mosquitto's configuration and the directories that lead to it are.
PLACES = ("/etc/tedge/mosquitto-conf", "/etc/mosquitto/conf.d")
LIMIT_S = 200


def broker(device: Device) -> str:
    return device.unit("mosquitto.service", "MainPID")["MainPID"]


def traced(device: Device, words: str, log: Path, number: int) -> list[Call]:
    """Run a command, killed at the call of that number if it is not 0; its calls."""
    device.run("mkdir -p /root/faults")
    for name in ("tracer", "syscalls"):
        device.copy_in(Path(faults.__path__[0]) / f"{name}.py", f"/root/faults/{name}.py")
    command = f"PYTHONPATH=/root python3 -m faults.tracer /root/calls {number} after {words}"
    done = device.run(command, check=False, timeout_s=LIMIT_S)
    assert (done.exit_code == 0) == (number == 0), done
    log.write_text(device.read("/root/calls"))
    return read_log(log)


def disconnected(device: Device) -> None:
    device.run("tedge disconnect c8y", timeout_s=LIMIT_S)


def again_connected(device: Device) -> None:
    device.run("tedge disconnect c8y && tedge connect c8y", timeout_s=LIMIT_S)


def with_changed_setting(device: Device) -> None:
    again_connected(device)
    device.run("tedge config unset c8y.smartrest.templates && tedge reconnect c8y", timeout_s=LIMIT_S)
    device.run("tedge config set c8y.smartrest.templates one")


def expect_connected(device: Device, tenant: Tenant) -> None:
    tenant.wait_connected(device.name)
    assert device.run("tedge connect c8y --test").exit_code == 0
    assert device.run(f"systemctl is-enabled {TIMER}").exit_code == 0


def expect_disconnected(device: Device, tenant: Tenant) -> None:
    assert not device.exists(BRIDGE)
    assert not tenant.device(device.name)["connected"]
    assert device.run(f"systemctl is-enabled {TIMER}", check=False).exit_code == 1
    assert device.systemctl("is-active", "mosquitto.service").exit_code == 0


@dataclass(frozen=True)
class Typed:
    """What is typed, on what device, and what has to hold once it was typed again."""

    begin: Callable[[Device], None]
    expect: Callable[[Device, Tenant], None]


COMMANDS = {
    "connect": Typed(disconnected, expect_connected),
    "reconnect": Typed(with_changed_setting, expect_connected),
    "disconnect": Typed(again_connected, expect_disconnected),
}


def kill(device: Device, tenant: Tenant, name: str, log: Path, number: int) -> None:
    typed, words = COMMANDS[name], f"tedge-{name} c8y"
    typed.begin(device)
    before = broker(device)
    traced(device, words, log, number)
    timer = device.run(f"systemctl is-enabled {TIMER}", check=False)
    if device.exists(BRIDGE) and timer.exit_code:
        # Mosquitto would connect it when it starts, and its certificate would not be renewed.
        raise LostDeviceError(f"there is a bridge, but {timer.stdout}")
    done = device.run(words, timeout_s=LIMIT_S)
    typed.expect(device, tenant)
    assert broker(device) != before, done
    # Nothing that was left is taken for another interruption.
    pid = broker(device)
    device.run("tedge reconnect c8y" if name == "reconnect" else f"{words} || true", timeout_s=LIMIT_S)
    assert broker(device) == pid


@pytest.mark.row("Killed anywhere")
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_before_mosquitto_was_restarted(
    connected: Device, tenant: Tenant, tmp_path: Path, matrix: Matrix, name: str
) -> None:
    COMMANDS[name].begin(connected)
    calls = traced(connected, f"tedge-{name} c8y", tmp_path / "calls", 0)
    there = [each for each in calls if each.path.startswith(PLACES)]
    # Before a call is after the one before. The very last one is that after which only the restart is left to be done.
    for call in there if matrix.whole else there[-1:]:
        with matrix.case(f"{name}: after {call}"):
            kill(connected, tenant, name, tmp_path / "calls", call.number)
