# SPDX-License-Identifier: Apache-2.0
"""When a full check writes a memo, and which modules the next hours load."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tedge_cert.hourly import memo
from unit.certificates import make_for
from unit.children import BIN, environment_for, run
from unit.remembered import UNIT, remember
from unit.steps.test_needs_renewal import PROGRAM

WAIT_S = 20


def test_only_its_user_can_write_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = remember(tmp_path, monkeypatch)
    before = os.umask(0o077)
    try:
        assert made.full_check() == 1
    finally:
        os.umask(before)
    status = made.file.stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (os.geteuid(), 0o644)


@pytest.mark.parametrize("changed", ["tedge.toml", "cert.pem", "library"])
def test_nothing_is_left_of_what_changed_just_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """The file might change again within one step of the file system's clock."""
    made = remember(tmp_path, monkeypatch)
    began_ns = (tmp_path / changed).stat().st_ctime_ns
    monkeypatch.setattr(memo, "clocks", lambda: (began_ns + 10**9, made.began_ns[1]))
    assert made.full_check() == 1
    assert not made.file.exists()
    monkeypatch.setattr(memo, "clocks", lambda: made.began_ns)
    assert made.full_check() == 1
    assert made.file.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("c8y",),
        ("c8y", "--systemd"),
        ("--systemd", "aws"),
        ("--systemd", "c8y", "--profile=p"),
        ("--systemd", "c8y", "--config-dir", "/etc"),
        ("--systemd", "c8y", "--profile", "../p"),
    ],
)
def test_only_the_command_lines_of_the_units(words: tuple[str, ...]) -> None:
    assert memo.file_for(list(words), {}) == ""


def test_each_instance_has_its_own() -> None:
    assert memo.file_for(["--systemd", "c8y"], {}) == "/run/tedge-cert-renewer/c8y.hour"
    assert memo.file_for(["--systemd", "c8y", "--profile", "p"], {}) == "/run/tedge-cert-renewer/c8y@p.hour"


@pytest.mark.parametrize("settings", ['c8y.auth_method = "basic"', 'certificate.validity.minimum_duration = "99y"'])
def test_nothing_is_left_by_another_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str) -> None:
    made = remember(tmp_path, monkeypatch)
    made.toml.write_text(f'device.cert_path = "{made.certificate}"\n{settings}\n')
    made.full_check()
    assert not made.file.exists()


def test_a_key_that_everybody_can_read_is_said_each_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    device, key = remember(tmp_path, monkeypatch), tmp_path / "key.pem"
    device.toml.write_text(f'device.key_path = "{key}"\n{device.toml.read_text()}')
    key.touch(0o600)
    key.chmod(0o604)
    assert device.full_check() == 1
    assert not device.file.exists()
    assert f"every user of this device can access the private key {key} (mode 0604)" in capsys.readouterr().err
    key.chmod(0o640)
    assert device.full_check() == 1
    assert device.is_quiet()
    key.chmod(0o644)
    assert not device.is_quiet()


def test_a_killed_run_keeps_nobody_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = remember(tmp_path, monkeypatch)
    (tmp_path / "elsewhere").write_text("untouched")
    made.file.with_name("c8y.hour.tmp").symlink_to(tmp_path / "elsewhere")
    assert [made.full_check(), made.file.exists()] == [1, False]
    assert [made.full_check(), made.file.exists()] == [1, True]
    assert (tmp_path / "elsewhere").read_text() == "untouched"


def test_without_its_directory_the_answer_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made = remember(tmp_path, monkeypatch)
    made.file.parent.rmdir()
    assert made.full_check() == 1
    assert capfd.readouterr().err.count("\n") == 1


def imported(command: list[str], environment: dict[str, str]) -> set[str]:
    """The modules that an interpreter loads for this."""
    told = {**environment, "PYTHONPROFILEIMPORTTIME": "1"}
    ended = subprocess.run([sys.executable, "-S", *command], env=told, capture_output=True, text=True, check=False)
    lines = [line for line in ended.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def test_the_quick_hour_loads_one_module(tmp_path: Path) -> None:
    (tmp_path / "run" / memo.DIRECTORY).mkdir(parents=True)
    path = tmp_path / "cert.pem"
    path.write_bytes(make_for(100).pem)
    (tmp_path / "tedge.toml").write_text(f'device.cert_path = "{path}"')
    environment = environment_for(tmp_path, TEDGE_RUN_PATH=str(tmp_path / "run"), RENEWAL_SPREAD="20%")
    until_s = time.monotonic() + WAIT_S
    # There is no memo until the files are older than a step of the file system's clock.
    while not (tmp_path / "run" / memo.DIRECTORY / "c8y.hour").exists():
        assert time.monotonic() < until_s
        variables = {"TEDGE_RUN_PATH": str(tmp_path / "run"), "RENEWAL_SPREAD": "20%"}
        result = run([PROGRAM, *UNIT], tmp_path, isolated=True, variables=variables)
        assert result.exit == 1
    bare = imported(["-c", "pass"], environment)
    assert imported([str(BIN / PROGRAM), *UNIT], environment) - bare <= {
        "tedge_cert",
        "tedge_cert.hourly",
        "tedge_cert.hourly.memo",
        "tedge_cert.durations",
        "time",
    }
    (tmp_path / "tedge.toml").touch()
    assert "tedge_cert.steps.needs_renewal" in imported([str(BIN / PROGRAM), *UNIT], environment)
