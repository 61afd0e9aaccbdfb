# SPDX-License-Identifier: Apache-2.0
"""Show things to a person: wrapped text, colours, steps and waits, QR codes; and ask a question.

On anything but a terminal the same text is plain: no colour, no wrapping, nothing that moves.

All text for people leaves through ``out`` and ``tell`` here, or through ``journal``, so that no text of a tenant, of a
certificate or of a file steers the terminal. A test allows no other place to write to a stream.
"""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, TextIO

from tedge_cert import journal, systemd

if TYPE_CHECKING:
    from rich.status import Status
    from rich.text import Text

# Terminals that only print (`TERM`).
_DUMB = ("", "dumb", "unknown")


def out(text: str) -> None:
    """Write ``text`` to stdout, characters that steer a terminal by their number (``journal.plain``)."""
    journal.write(sys.stdout, journal.plain(text))


def tell(text: str) -> None:
    """Write ``text`` to stderr likewise, whatever the level of the log."""
    journal.write(sys.stderr, journal.plain(text))
    sys.stderr.flush()


def body_sink() -> Callable[[bytes], object]:
    """Return what writes the body of an answer to stdout.

    To a terminal it is text as `out` writes it; to anything else the bytes as they came, for the next program.
    """
    if not sys.stdout.isatty():
        return sys.stdout.buffer.write
    import codecs

    # A chunk may end within a character.
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return lambda chunk: out(decoder.decode(chunk))


def wrapped(line: str, hang: int) -> str:
    """Wrap a line at the width of the terminal; later lines begin at column ``hang``. Elsewhere return it unchanged."""
    if len(line) <= _NARROWEST or not sys.stdout.isatty():
        return line
    import shutil
    import textwrap

    # $COLUMNS counts first, as in argparse.
    width = max(shutil.get_terminal_size().columns, _NARROWEST)
    # Paths and options stay whole: a person copies them.
    indent = " " * min(hang, width // 2)
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


_NARROWEST = 20


# Colours

_GREEN, _YELLOW, _RED = 32, 33, 31
_COLOURS = {"VALID": _GREEN, "healthy": _GREEN, "EXPIRES SOON": _YELLOW, "attention": _YELLOW}


def of_status(text: str) -> str:
    """Colour the status of a certificate, or the health of an instance: green, yellow or red."""
    return _coloured(text, _COLOURS.get(text.partition(" (")[0], _RED))


def mark(is_good: bool | None, stream: TextIO | None = None) -> str:
    """Return the mark of a check, in letters where ``stream`` (stdout) has no such characters; a dash for none made."""
    if is_good is None:
        return "-"
    sign, letters = ("✓", "ok") if is_good else ("✗", "no")
    return sign if _has_characters(stream or sys.stdout, sign) else letters


def _has_characters(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def _coloured(text: str, colour: int) -> str:
    """Colour ``text`` if both streams are a terminal, as thin-edge requires, and https://no-color.org allows it."""
    unwanted = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if unwanted or not (sys.stdout.isatty() and sys.stderr.isatty()):
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


# Steps and waits

_drawing = False


@contextmanager
def step(title: str) -> Iterator[None]:
    """Write ``<title>... ✓`` or ``<title>... ✗`` around the block of a ``with`` statement."""
    spinner, begun, is_done = _spinner(title), f"{title}... ", False
    if spinner is None and sys.stderr.isatty():
        tell(begun)
        begun = ""
    try:
        with spinner or nullcontext():
            yield
        is_done = True
    finally:
        tell(f"{begun}{mark(is_done, sys.stderr)}\n")


def waiting(title: str) -> AbstractContextManager[object]:
    """Show a wait on a terminal and in `systemctl status`; its result is written by the caller."""
    systemd.status(title)
    spinner = _spinner(title)
    if spinner is None and sys.stderr.isatty() and not _drawing:
        journal.say(f"{title}...")
    return spinner or nullcontext()


class Progress:
    """Show how a wait stands: on a terminal one line that changes in place, with ✓ or ✗ at the end; elsewhere lines."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._shown = ""
        self._moving = ExitStack()
        self._status: Status | None = None

    def __enter__(self) -> "Progress":
        systemd.status(self._title)
        if (spinner := _spinner(self._title)) is not None:
            self._status = self._moving.enter_context(spinner)
        return self

    def show(self, text: str, lasting: str = "") -> None:
        """Show ``text``; where lines do not change in place, only if ``lasting``, the part that matters, is new."""
        systemd.status(text)
        if self._status is not None:
            self._status.update(_in_line(text))
        elif (lasting or text) != self._shown:
            journal.info(text)
        self._shown = lasting or text

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        self._moving.close()
        if self._status is not None:
            tell(f"{self._title}... {mark(kind is None)}\n")


def _spinner(title: str) -> "AbstractContextManager[Status] | None":
    """Return what draws ``title`` with a moving sign, which vanishes at the end.

    None without a terminal, without rich, or while another one is drawn: a wait within a step must not draw over it.
    """
    if _drawing or not sys.stderr.isatty() or os.environ.get("TERM", "") in _DUMB:
        return None
    try:
        from rich.console import Console
        from rich.status import Status
    except ImportError:
        return None
    console = Console(stderr=True, highlight=False, force_terminal=True, soft_wrap=True)
    # In ASCII, because serial consoles have nothing else.
    return _drawn(Status(_in_line(f"{title}..."), console=console, spinner="line", spinner_style="none"))


@contextmanager
def _drawn(status: "Status") -> "Iterator[Status]":
    global _drawing  # noqa: PLW0603 (one process, one terminal)
    stdout = sys.stdout
    with status:
        # rich would send standard output to its own stream, standard error.
        sys.stdout, _drawing = stdout, True
        try:
            yield status
        finally:
            _drawing = False


def _in_line(text: str) -> "Text":
    from rich.text import Text

    return Text(journal.quoted(text))


# QR codes

# ISO/IEC 18004 §5.3.8 asks for a quiet zone of 4; telephones need half of it.
BORDER = 2
BLACK_ON_WHITE, NORMAL = "\033[30;107m", "\033[0m"


def qr_code(address: str) -> str:
    """Return the lines that show ``address`` as a QR code, black on white.

    Without colours the light modules are drawn, because terminals are dark and few readers take an inverted code.
    Empty where the code does not fit, or qrcode is not installed.
    """
    if not (sys.stderr.isatty() and _has_characters(sys.stderr, "▀▄█")):
        return ""
    try:
        from qrcode import QRCode
    except ImportError:
        return ""
    code, drawn, is_coloured = QRCode(border=BORDER), io.StringIO(), "NO_COLOR" not in os.environ
    code.add_data(address)
    code.print_ascii(drawn, invert=not is_coloured)
    # The library has blanks that do not break lines, which are no printable characters.
    lines = drawn.getvalue().replace("\xa0", " ").splitlines()
    if len(lines[0]) > os.get_terminal_size(sys.stderr.fileno()).columns:
        return ""
    return "".join(f"{BLACK_ON_WHITE}{each}{NORMAL}\n" if is_coloured else f"{each}\n" for each in lines)


# Questions


def agrees(question: str) -> bool:
    """Return whether a person at a terminal says yes to ``question``; without a terminal nobody does."""
    return sys.stdin.isatty() and ask(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def ask(prompt: str, secret: bool = False) -> str:
    """Return the line that a person types after ``prompt``, or the next line of a script's input, without a prompt.

    A ``secret`` is not shown while it is typed. Empty for an empty line and at the end of the input.
    """
    if sys.stdin.isatty():
        if secret:
            from getpass import getpass

            return getpass(prompt)
        tell(prompt)
    return sys.stdin.readline().rstrip("\r\n")
