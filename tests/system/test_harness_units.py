# SPDX-License-Identifier: Apache-2.0
"""The harness itself: how it reads units and the journal."""

import pytest

from system.device import Device

pytestmark = pytest.mark.one_release


def _unit(device: Device, name: str, start: str, *more: str) -> None:
    lines = ["[Service]", "Type=oneshot", f"ExecStart={start}", *more]
    device.write(f"/etc/systemd/system/{name}", "\n".join(lines) + "\n")
    device.systemctl("daemon-reload")


def test_state_names_failed_units(bare: Device) -> None:
    _unit(bare, "broken.service", "/bin/false")
    bare.systemctl("start", "broken", check=False)
    assert bare.state == "degraded broken.service"


@pytest.mark.parametrize(
    ("start", "more", "outcome", "result", "exit_code"),
    [
        ("echo done", (), "success", "success", 0),
        ("exit 3", (), "failed", "exit-code", 1),
        ("echo never", ("ExecCondition=/bin/false",), "skipped", "exec-condition", 0),
        ("kill -9 $$$$", (), "failed", "signal", 1),
        ("sleep 60", ("TimeoutStartSec=1",), "failed", "timeout", 1),
    ],
)
def test_outcome_of_a_unit(
    bare: Device, start: str, more: tuple[str, ...], outcome: str, result: str, exit_code: int
) -> None:
    _unit(bare, "one.service", f"/bin/sh -c '{start}'", *more)
    run = bare.start_unit("one.service")
    assert (run.outcome, run.result, run.exit_code) == (outcome, result, exit_code)
    assert run.lines == (["done"] if outcome == "success" else [])
