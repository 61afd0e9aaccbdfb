# SPDX-License-Identifier: Apache-2.0
"""The condition as the unit runs it: systemd skips on 1 to 254, so every error must be 255."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unit.certificates import Made, make_for
from unit.children import BIN, environment_for, run
from unit.local_device import Result
from unit.steps.test_needs_renewal import PROGRAM, device

DUE, LATER, EXPIRED, AHEAD = make_for(3), make_for(100), make_for(-1), make_for(365, 2)
RENEW, SKIP, BROKEN = 0, 1, 255


def ask(directory: Path, *words: str) -> Result:
    return run([PROGRAM, "--systemd", "c8y", *words], directory, isolated=True)


@pytest.mark.parametrize(
    ("content", "beside", "code", "said"),
    [
        (LATER, [], SKIP, "renewing below 30d: nothing to do"),
        (LATER, [".new"], SKIP, "nothing to do"),
        (DUE, [], RENEW, ", renewing below 30d: renewing"),
        (DUE, [".new"], RENEW, "is due, and a candidate is there"),
        (EXPIRED, [], BROKEN, "one-time password"),
        (EXPIRED, [".new"], RENEW, "is due, and a candidate is there"),
        (AHEAD, [], BROKEN, "the clock is wrong"),
        (AHEAD, [".new"], BROKEN, "the clock is wrong"),
        (None, [], BROKEN, "there is no such file"),
        (None, [".new"], BROKEN, "there is no such file"),
        (b"", [], BROKEN, "the file is empty"),
        (b"garbage", [".new"], BROKEN, 'no "BEGIN CERTIFICATE" block'),
        # An unfinished switch comes before all of these.
        (LATER, [".previous"], RENEW, "is unfinished"),
        (EXPIRED, [".previous"], RENEW, "is unfinished"),
        (AHEAD, [".previous", ".new"], RENEW, "is unfinished"),
        (None, [".previous"], RENEW, "is unfinished"),
        (b"garbage", [".previous"], RENEW, "is unfinished"),
    ],
)
def test_the_order_of_the_answers(
    tmp_path: Path, content: Made | bytes | None, beside: list[str], code: int, said: str
) -> None:
    path = device(tmp_path, content)
    for suffix in beside:
        path.with_name(path.name + suffix).write_bytes(b"x")
    result = ask(tmp_path)
    assert (result.exit, result.stdout, result.stderr.count("\n")) == (code, "", 1)
    assert str(path) in result.stderr
    assert said in result.stderr


@pytest.mark.parametrize(
    ("settings", "words", "said"),
    [
        ("c8y = [", [], "not valid TOML"),
        ('[certificate.validity]\nminimum_duration = "soon"', [], "such as 30d"),
        ("[c8y.device]\ncert_path = 5", [], "expected an absolute path"),
        ("", ["--profile", "second"], "no profile 'second'"),
        ("", ["--bogus"], "unrecognized arguments: --bogus"),
        ("", ["--profile"], "expected one argument"),
        ("", ["gcp"], "unrecognized arguments"),
    ],
)
def test_a_broken_configuration_comes_first(tmp_path: Path, settings: str, words: list[str], said: str) -> None:
    path = device(tmp_path, LATER, settings)
    path.with_name(path.name + ".previous").write_bytes(b"x")
    result = ask(tmp_path, *words)
    assert (result.exit, said in result.stderr) == (BROKEN, True)


def test_a_directory_in_the_place_of_a_file(tmp_path: Path) -> None:
    device(tmp_path, None).mkdir()
    assert ask(tmp_path).exit == BROKEN
    (tmp_path / "tedge.toml").unlink()
    (tmp_path / "tedge.toml").mkdir()
    assert ask(tmp_path).exit == BROKEN


@pytest.mark.parametrize("spoilt", ["hour.py", "condition.py", "config.py", "validity.py", "errors.py"])
@pytest.mark.parametrize("content", ["syntax error", "import nosuch", "raise SystemExit(1)", "raise KeyboardInterrupt"])
def test_a_broken_installation_is_no_skip(tmp_path: Path, spoilt: str, content: str) -> None:
    device(tmp_path, LATER)
    package = tmp_path / "lib" / "tedge_cert"
    package.mkdir(parents=True)
    for module in (BIN.parent / "lib" / "tedge_cert").glob("*.py"):
        (package / module.name).write_bytes(module.read_bytes())
    (package / spoilt).write_text(content)
    assert (
        run([PROGRAM, "--systemd", "c8y"], tmp_path, isolated=True, variables={"PYTHONPATH": str(package.parent)}).exit
        == BROKEN
    )


def test_a_missing_library_is_no_skip(tmp_path: Path) -> None:
    assert run([PROGRAM, "--systemd", "c8y"], tmp_path, isolated=True, variables={"PYTHONPATH": ""}).exit == BROKEN


@pytest.mark.parametrize(("content", "code"), [(LATER, SKIP), (DUE, RENEW), (EXPIRED, BROKEN), (b"", BROKEN)])
def test_a_journal_that_has_gone_changes_no_answer(tmp_path: Path, content: Made | bytes, code: int) -> None:
    device(tmp_path, content)
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-S", str(BIN / PROGRAM), "--systemd", "c8y"]
    with os.fdopen(writer, "wb") as gone:
        ended = subprocess.run(command, env=environment_for(tmp_path), stderr=gone, check=False, timeout=60)
    assert ended.returncode == code


def test_lines_have_levels_where_the_journal_reads_them(tmp_path: Path) -> None:
    device(tmp_path, EXPIRED)
    log = tmp_path / "log"
    with log.open("wb") as file:
        status = os.fstat(file.fileno())
        environment = environment_for(tmp_path, JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}")
        command = [sys.executable, "-S", str(BIN / PROGRAM), "--systemd", "c8y"]
        subprocess.run(command, env=environment, stderr=file, check=False, timeout=60)
    assert log.read_text().startswith("<3>")
