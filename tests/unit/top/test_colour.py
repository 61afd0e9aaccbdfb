# SPDX-License-Identifier: Apache-2.0
"""The status of a certificate has a colour on a terminal, and nowhere else."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from unit.certificates import make_for
from unit.children import BIN, environment_for, run

GREEN, YELLOW, RED, OFF = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
COLOURS = [(100.0, -1.0, "VALID", GREEN), (3.0, -1.0, "EXPIRES SOON", YELLOW), (-1.0, -9.0, "EXPIRED", RED)]


def on_a_terminal(
    words: list[str], directory: Path, variables: dict[str, str] | None = None, stderr: int | None = None
) -> str:
    """What a command prints on a terminal (its errors, unless they go elsewhere, too)."""
    ours, theirs = pty.openpty()
    environment = environment_for(directory, **{"TERM": "xterm", "NO_COLOR": "", **(variables or {})})
    with subprocess.Popen(
        [sys.executable, str(BIN / words[0]), *words[1:]],
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs if stderr is None else stderr,
    ):
        os.close(theirs)
        printed = b""
        try:
            while block := os.read(ours, 4096):
                printed += block
        except OSError:
            pass  # what Linux says when the last one at the other end has gone
    os.close(ours)
    return printed.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(("left", "begin", "word", "colour"), [*COLOURS, (9.0, 3.0, "NOT VALID YET", RED)])
def test_a_terminal_sees_the_status_in_its_colour(
    tmp_path: Path, left: float, begin: float, word: str, colour: str
) -> None:
    path = tmp_path / "cert.pem"
    path.write_bytes(make_for(left, begin).pem)
    shown = on_a_terminal(["tedge-cert-show", "--cert-path", str(path)], tmp_path)
    assert f"Status:        {colour}{word} (" in shown
    assert f"){OFF}\nValid from:    " in shown
    assert shown.count("\x1b") == 2
    needed = on_a_terminal(["tedge-cert-needs-renewal", "--cert-path", str(path)], tmp_path)
    assert needed.startswith(f"Status:        {colour}{word} (")


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_with_no_color(tmp_path: Path, variables: dict[str, str]) -> None:
    path = tmp_path / "cert.pem"
    path.write_bytes(make_for(100).pem)
    shown = on_a_terminal(["tedge-cert-show", "--cert-path", str(path)], tmp_path, variables)
    assert "Status:        VALID (" in shown
    assert "\x1b" not in shown


def test_a_pipe_gets_none(tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    path.write_bytes(make_for(100).pem)
    words = ["tedge-cert-show", "--cert-path", str(path)]
    assert "\x1b" not in run(words, tmp_path).stdout
    assert "\x1b" not in on_a_terminal(words, tmp_path, stderr=subprocess.DEVNULL)
