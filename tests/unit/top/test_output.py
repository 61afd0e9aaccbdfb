# SPDX-License-Identifier: Apache-2.0
"""Text of others does not steer a terminal: one place through which all output leaves."""

import io
import re
import subprocess
import sys

import pytest

from tedge_cert import journal, terminal
from unit.children import environment_for
from unit.local_device import ROOT
from unit.top.test_progress import on_terminal

STEERING = "a\x1b[2J\x9b2J\u202eb\rc\x07\udc80d"
SHOWN = "a\\001B[2J\\009B2J\\202Eb\\000Dc\\0007\\x80d"
_WRITES = re.compile(
    r"\bprint\(|\bstd(out|err)\.(buffer\.)?write|\bstd(out|err)\.buffer|\bos\.write\((1|2),|\bstream\.write\("
)
# These are the place; and the values of settings are printable, because every one has passed `Key.parse`.
PLACES = {"lib/tedge_cert/terminal.py", "lib/tedge_cert/journal.py"}


def test_only_one_place_writes_to_a_stream() -> None:
    files = [*(ROOT / "lib").rglob("*.py"), *(ROOT / "bin").iterdir()]
    texts = {str(each.relative_to(ROOT)): each.read_text(encoding="utf-8") for each in files if each.is_file()}
    assert len(texts) > 100
    writing = {name for name, text in texts.items() if any(map(_WRITES.search, _code(text)))}
    assert writing == PLACES


def _code(text: str) -> list[str]:
    return [each for each in text.splitlines() if not each.lstrip().startswith("#")]


def test_what_steers_a_terminal_is_shown_by_its_number(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.out(f"one\n\ttwo {STEERING}\n")
    terminal.tell(f"{STEERING}\n")
    journal.say(STEERING)
    with terminal.step(STEERING):
        pass
    said = capsys.readouterr()
    assert said.out == f"one\n\ttwo {SHOWN}\n"
    assert said.err == f"{SHOWN}\n{SHOWN}\n{SHOWN}... ✓\n"


def test_our_own_colours_are_kept() -> None:
    for own in journal.OWN:
        assert journal.plain(f"a\n{own}b") == f"a\n{own}b"
    # Blinking, hidden, and the beginning of a colour are none of ours.
    assert "\x1b" not in journal.plain("\x1b[5m \x1b[8m \x1b[3 \x1b[31")


def test_text_of_others_is_on_one_line_without_colours() -> None:
    assert journal.quoted(f"ä\n{STEERING}\x1b[32m") == f"ä\\000A{SHOWN}\\001B[32m"


def test_the_body_of_an_answer_is_for_the_next_program() -> None:
    body = b"\x1b[2J\xff\x00"
    program = f"from tedge_cert import terminal; terminal.body_sink()({body!r})"
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, env=environment_for(None), capture_output=True, check=True)
    assert done.stdout == body


def test_the_body_of_an_answer_does_not_steer_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stdout", shown)
    sink = terminal.body_sink()
    for chunk in (b'{"a": "\xc3', b'\xa4\x1b[2J"}\n', b"\xff"):
        sink(chunk)
    assert shown.getvalue() == '{"a": "ä\\001B[2J"}\n\ufffd'


def test_a_title_does_not_steer_a_terminal() -> None:
    program = "from tedge_cert.terminal import waiting\nwith waiting('x\\x1b]0;y\\x07z'): pass\n"
    _, seen = on_terminal(program)
    assert "x\\001B]0;y\\0007z" in seen
