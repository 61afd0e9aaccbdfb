# SPDX-License-Identifier: Apache-2.0
"""The harness itself: what it tells of units and the journal."""

import pytest

from system.device import Device

pytestmark = pytest.mark.one_release

_BURN = "i=0; while [ $$i -lt 50000 ]; do i=$$((i+1)); done"


def _unit(device: Device, name: str, start: str, *more: str) -> None:
    lines = ["[Service]", "Type=oneshot", f"ExecStart={start}", *more]
    device.write(f"/etc/systemd/system/{name}", "\n".join(lines) + "\n")
    device.systemctl("daemon-reload")


def test_state_names_failed_units(bare: Device) -> None:
    _unit(bare, "broken.service", "/bin/false")
    bare.systemctl("start", "broken", check=False)
    assert bare.state == "degraded broken.service"


def test_cpu_time_of_a_unit(bare: Device) -> None:
    _unit(bare, "burn.service", f"/bin/sh -c '{_BURN}'")
    bare.keep_loaded("burn.service")
    before = bare.cpu_ns
    run = bare.start_unit("burn.service")
    assert run.cpu_ns is not None
    assert 1_000_000 < run.cpu_ns < bare.cpu_ns - before + 1_000_000_000


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


def test_journal_after_a_cursor(bare: Device) -> None:
    bare.run("logger early")
    after = bare.cursor()
    bare.start("sleep 0.5; logger --id=1 late")
    entry = bare.await_entry(lambda entry: entry.message == "late", after=after)
    assert entry.priority == 5
    assert [entry.message for entry in bare.journal(after=after)] == ["late"]
