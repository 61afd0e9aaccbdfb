# SPDX-License-Identifier: Apache-2.0
"""Programs of the administrator after a renewal, or after one that failed."""

import os
import select
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert import afterwards, events
from tedge_cert.device import instance as instances
from tedge_cert.device import state
from tedge_cert.device.instance import Instance
from tedge_cert.device.state import State
from tedge_cert.disk import owners
from tedge_cert.errors import NoAnswerError
from tedge_cert.steps import hooks, outcome
from tedge_cert.steps.outcome import Result


@pytest.fixture
def directory(tmp_path: Path, mocker: MockerFixture) -> Path:
    """Hooks of a device: this process counts as tedge, and a directory of the test as root's."""
    mocker.patch.object(hooks, "DIRECTORY", tmp_path)
    mocker.patch("os.geteuid", return_value=4242)
    mocker.patch.object(owners, "is_only_roots", lambda path: not path.stat().st_mode & 0o022)
    for kind in (hooks.RENEWED, hooks.FAILED):
        (tmp_path / kind).mkdir()
    return tmp_path


def put(path: Path, body: str, mode: int = 0o755) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(mode)
    return path


def test_they_run_in_the_order_of_names_with_the_facts_and_nothing_else(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    put(directory / "renewed/20-last", 'echo "$CERT_PATH$SECRET_OF_OURS"')
    put(directory / "renewed/10-first", 'echo "$TEDGE_DEVICE_ID"; exit 7')
    put(directory / "renewed/15-not-executable", "echo never", mode=0o644)
    put(directory / "renewed/15-backup~", "echo never")
    put(directory / "failed/10-other", "echo never")
    hooks.run(hooks.RENEWED, {"TEDGE_DEVICE_ID": "device-1", "CERT_PATH": "/x/cert.pem"})
    said = capfd.readouterr().err.splitlines()
    assert said == [
        f"running the hook {directory}/renewed/10-first",
        "device-1",
        f"warning: the hook {directory}/renewed/10-first failed (status 7); the renewal is as it was",
        f"running the hook {directory}/renewed/20-last",
        "/x/cert.pem",
    ]


def test_a_link_that_leads_nowhere_stops_no_other(directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    gone = directory / "renewed/10-gone"
    gone.symlink_to(directory / "removed with its package")
    put(directory / "renewed/20-other", "echo it ran")
    hooks.run(hooks.RENEWED, {})
    said = capfd.readouterr().err
    assert f"warning: the hook {gone} was not run, because it cannot be examined: No such file or directory" in said
    assert "it ran" in said


def test_what_others_can_change_is_left_out_with_a_warning(directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    put(directory / "failed/open", "echo never", mode=0o777)
    hooks.run(hooks.FAILED, {})
    said = capfd.readouterr().err
    assert said.startswith(f"warning: the hook {directory}/failed/open was not run, because others than root can")
    assert said.count("\n") == 1


def test_a_late_one_is_stopped_with_all_that_it_started(directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    put(directory / "failed/late", "sleep 600 & echo $!; wait")
    put(directory / "failed/broken", "").write_text("#!/nowhere\n")
    hooks.run(hooks.FAILED, {}, timeout_s=1.0)
    said = capfd.readouterr().err
    assert f"the hook {directory}/failed/broken did not run: No such file or directory" in said
    assert f"the hook {directory}/failed/late was stopped after 1 s" in said
    started = next(int(line) for line in said.splitlines() if line.isdecimal())
    assert has_ended(started)


def has_ended(process: int) -> bool:
    """Wait for the end of a process that was killed."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 30)[0])
    finally:
        os.close(descriptor)


def test_root_runs_none_and_without_the_directory_there_is_none(directory: Path, mocker: MockerFixture) -> None:
    put(directory / "renewed/x", f"touch {directory}/ran")
    mocker.patch("os.geteuid", return_value=0)
    hooks.run(hooks.RENEWED, {})
    assert not (directory / "ran").exists()
    assert hooks.programs("nothing") == []


def instance_of_system(tmp_path: Path, mocker: MockerFixture) -> Instance:
    """Return an instance that counts as that of the system, with nothing on disk."""
    mocker.patch("tedge_cert.config.settings.Config.is_of_system", new=True)
    mocker.patch.object(instances, "STATE_DIRECTORY", str(tmp_path))
    for name in ("tell_fleet", "_with_key"):
        mocker.patch.object(outcome, name, lambda _, after=None: after)
    mocker.patch.object(events, "send")
    return instances.load_instance("c8y", directory=str(tmp_path))


@pytest.mark.parametrize(
    ("result", "kinds"),
    [
        (Result(outcome.VERIFY, events.RENEWED, "confirmed"), ["renewed"]),
        (Result(outcome.VERIFY, events.CONFIRMED_LATE, "confirmed"), ["renewed"]),
        (Result.of(outcome.RENEW, NoAnswerError("silent")), ["failed"]),
        (Result(outcome.VERIFY, events.NOT_NEEDED, "another run was quicker"), []),
        (Result(outcome.CONDITION, events.HELD_BACK, "not before noon"), []),
    ],
)
def test_which_results_run_which_after_the_locks(
    tmp_path: Path, mocker: MockerFixture, result: Result, kinds: list[str]
) -> None:
    run = mocker.patch.object(hooks, "run")
    instance = instance_of_system(tmp_path, mocker)
    outcome.record(instance, result)
    assert not run.called
    afterwards.finish()
    assert [each.args[0] for each in run.call_args_list] == kinds
    for each in run.call_args_list:
        facts = each.args[1]
        assert facts["CERT_PATH"] == str(instance.certificate)
        assert facts["RENEWAL_RESULT"] == result.event.name
        assert "TEDGE_DEVICE_ID" not in facts


def test_a_fault_that_keeps_runs_from_starting_runs_them_once_a_day(tmp_path: Path, mocker: MockerFixture) -> None:
    run = mocker.patch.object(hooks, "run")
    instance = instance_of_system(tmp_path, mocker)
    (tmp_path / "c8y.json").write_text("{}")
    for _ in range(3):
        outcome.record(instance, Result(outcome.CONDITION, events.CLOCK_WRONG, "1970"))
    afterwards.finish()
    assert run.call_count == 1
    assert state.load(instance.state_file) != State()
