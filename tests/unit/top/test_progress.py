# SPDX-License-Identifier: Apache-2.0
"""How a wait is shown, on a terminal and elsewhere."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tedge_cert.terminal import step, waiting
from unit.children import BIN, environment_for

# Reports each import of the library, or hides it.
WATCHED = """
import sys
from pathlib import Path
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "rich" or name.startswith("rich."):
            HOW
sys.meta_path.insert(0, Finder())
"""
HIDDEN = WATCHED.replace("HOW", "raise ModuleNotFoundError(name)")
LOUD = WATCHED.replace("HOW", "print('imported', name)")
STEP = """
import sys, time
from tedge_cert.terminal import step, waiting
with step("Restarting [it]"):
    with waiting("A part"):
        sys.stderr.write("a line" + " and more" * 20 + "\\n")
        sys.stdout.write("out\\n")
        time.sleep(0.5)
"""
LINE = "a line" + " and more" * 20
FAILING = STEP.replace("time.sleep(0.5)", "raise SystemExit(1)")
WAITING = """
import sys
from pathlib import Path
from tedge_cert.terminal import waiting
with waiting("Asking"):
    sys.stdout.write("out\\n")
"""
PROGRESS = """
import time
from tedge_cert.terminal import Progress
with Progress("Asking") as progress:
    progress.show("first, 30 s", "first")
    time.sleep(0.3)
    progress.show("first, 20 s", "first")
    progress.show("second")
    time.sleep(0.3)
"""
CURSOR_HIDDEN, CURSOR_SHOWN = "\x1b[?25l", "\x1b[?25h"


def on_terminal(program: str, **variables: str) -> tuple[str, str]:
    """Standard output, a pipe, and what came to a terminal on stderr."""
    ours, theirs = pty.openpty()
    environment = environment_for(None, **{"TERM": "xterm", **variables})
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, stderr=theirs, encoding="utf-8"
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while part := os.read(ours, 4096):
                seen += part
        except OSError:
            # EIO: the other side of the terminal was closed (pty(7)).
            os.close(ours)
        assert process.stdout is not None
        return process.stdout.read(), seen.decode()


def left_on_screen(seen: str) -> list[str]:
    """The lines that stay on an xterm: a carriage return goes back, `ESC [ 2K` erases, `ESC [ 1A` goes up."""
    lines, at = [""], 0
    for each in re.findall(r"\x1b\[[?\d]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", seen):
        if each == "\n":
            at += 1
            lines += [""] * (at == len(lines))
        elif each.endswith("1A"):
            at -= 1
        elif each.endswith("2K"):
            lines[at] = ""
        elif not each.startswith(("\x1b", "\r")):
            lines[at] += each
    return [each for each in lines if each]


@pytest.mark.parametrize(("error", "mark"), [(None, "✓"), (ValueError("no"), "✗"), (KeyboardInterrupt(), "✗")])
def test_elsewhere_the_line_is_whole(capfd: pytest.CaptureFixture[str], error: BaseException | None, mark: str) -> None:
    said = []
    try:
        with step("Waiting"):
            said.append(capfd.readouterr().err)
            if error is not None:
                raise error
    except (ValueError, KeyboardInterrupt) as raised:
        assert raised is error  # noqa: PT017 (some of the steps end well)
    assert said == [""]
    assert capfd.readouterr().err == f"Waiting... {mark}\n"


def test_elsewhere_waiting_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with waiting("Asking"):
        pass
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("program", "mark"), [(STEP, "✓"), (FAILING, "✗")])
def test_a_terminal_sees_it_move_and_keeps_the_lines(program: str, mark: str) -> None:
    pytest.importorskip("rich", reason="python3-rich is not installed")
    out, seen = on_terminal(program)
    assert out == "out\n"
    assert len(set(re.findall(r"([-\\|/]) Restarting \[it\]\.\.\.", seen))) > (1 if mark == "✓" else 0)
    assert "A part" not in seen
    assert seen.count(CURSOR_HIDDEN) == seen.count(CURSOR_SHOWN) == 1
    assert left_on_screen(seen) == [LINE, f"Restarting [it]... {mark}"]


def test_waiting_leaves_nothing_on_a_terminal() -> None:
    pytest.importorskip("rich", reason="python3-rich is not installed")
    out, seen = on_terminal(WAITING)
    assert "Asking..." in seen
    assert (out, left_on_screen(seen)) == ("out\n", [])


@pytest.mark.parametrize(
    ("start", "term"), [(HIDDEN, "xterm"), (LOUD, "dumb"), (LOUD, "")], ids=["no library", "dumb", "none"]
)
def test_a_terminal_without_it_has_plain_lines(start: str, term: str) -> None:
    out, seen = on_terminal(start + STEP.replace("with waiting", "if True or waiting"), TERM=term)
    assert (out, seen) == ("out\n", f"Restarting [it]... {LINE}\r\n✓\r\n")
    assert on_terminal(start + WAITING, TERM=term) == ("out\n", "Asking...\r\n")


def test_nothing_is_imported_for_a_pipe() -> None:
    for program, said in ((STEP, f"{LINE}\nRestarting [it]... ✓\n"), (WAITING, "")):
        done = subprocess.run(
            [sys.executable, "-c", LOUD + program],
            env=environment_for(None, TERM="xterm", FORCE_COLOR="1"),
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        assert (done.stdout, done.stderr) == ("out\n", said)


def test_no_colour_is_used_at_all() -> None:
    assert not re.search(r"\x1b\[[\d;]*m", on_terminal(STEP, FORCE_COLOR="1")[1])


def test_a_command_that_waits_keeps_its_lines(tmp_path: Path) -> None:
    pytest.importorskip("rich", reason="python3-rich is not installed")
    (tmp_path / "device-certs").mkdir()
    (tmp_path / "tedge.toml").write_text('[c8y]\nhttp = "127.0.0.1:1"\nmqtt = "127.0.0.1:1"\n')
    words = ["cert-download", "c8y", "--device-id=d-1", "--one-time-password=x", "--retry-every=1s", "--max-timeout=1s"]
    program = (
        f"import runpy, sys; sys.argv[1:] = {words[1:]}; runpy.run_path('{BIN}/tedge-{words[0]}', None, '__main__')"
    )
    out, seen = on_terminal(program, TEDGE_CONFIG_DIR=str(tmp_path))
    assert out == ""
    assert "Asking 127.0.0.1:1 for the certificate of d-1..." in seen
    left = left_on_screen(seen)
    assert [each for each in left if "Asking" in each] == ["Asking 127.0.0.1:1 for the certificate of d-1... ✗"]
    assert [each.startswith("error: no ") for each in left] == [False, False, True], left


def test_progress_changes_in_place_on_a_terminal_and_says_each_state_once_elsewhere() -> None:
    pytest.importorskip("rich", reason="python3-rich is not installed")
    _, seen = on_terminal(PROGRESS)
    assert "first, 30 s" in seen
    assert "second" in seen
    assert "\n" not in seen[seen.index("first, 30 s") : seen.index("second")]
    assert seen.endswith("Asking... ✓\r\n")
    done = subprocess.run([sys.executable, "-c", PROGRESS], env=environment_for(None), capture_output=True, check=True)
    assert done.stderr.decode() == "first, 30 s\nsecond\n"
