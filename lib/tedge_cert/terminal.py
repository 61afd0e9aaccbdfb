# SPDX-License-Identifier: Apache-2.0
"""TODO."""

import os
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from types import TracebackType

from tedge_cert import journal, systemd

_GREEN, _YELLOW, _RED = 32, 33, 31


def of_status(text: str) -> str:
    """A certificate's status as it is to be printed: green, yellow or red where colours are seen."""
    if not _is_wanted():
        return text
    word = text.partition(" (")[0]
    return f"\x1b[{ {'VALID': _GREEN, 'EXPIRES SOON': _YELLOW}.get(word, _RED) }m{text}\x1b[0m"


def of_health(word: str) -> str:
    """Likewise for how an instance is."""
    if not _is_wanted():
        return word
    return f"\x1b[{ {'healthy': _GREEN, 'attention': _YELLOW}.get(word, _RED) }m{word}\x1b[0m"


def _is_wanted() -> bool:
    """Both streams are a terminal, as thin-edge asks, and nobody objects (https://no-color.org)."""
    objections = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not objections and sys.stdout.isatty() and sys.stderr.isatty()


_DUMB = ("", "dumb", "unknown")
_drawing = False


class Step:
    """``<title>... ✓`` or ``<title>... ✗``, around the block of a ``with`` statement."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._moving = ExitStack()
        self._begun = False

    def __enter__(self) -> None:
        drawn = _drawn(self._title)
        if drawn is not None:
            self._moving.enter_context(drawn)
        elif sys.stderr.isatty():
            self._begun = True
            sys.stderr.write(f"{self._title}... ")
            sys.stderr.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._moving.close()
        begun = "" if self._begun else f"{self._title}... "
        sys.stderr.write(f"{begun}{'✓' if kind is None else '✗'}\n")
        sys.stderr.flush()


def waiting(title: str) -> AbstractContextManager[object]:
    """Show what is waited for, to a terminal and in `systemctl status`; the lines that tell of its end are others."""
    systemd.status(title)
    drawn = _drawn(title)
    if drawn is None and sys.stderr.isatty() and not _drawing:
        journal.say(f"{title}...")
    return drawn or nullcontext()


class _Drawing:
    """One at a time: what is waited for within a step does not draw over it."""

    def __init__(self, live: AbstractContextManager[object]) -> None:
        self._live = live

    def __enter__(self) -> None:
        global _drawing  # noqa: PLW0603 (one process, one terminal)
        self._live.__enter__()
        _drawing = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _drawing  # noqa: PLW0603
        _drawing = False
        self._live.__exit__(kind, error, trace)


def _drawn(title: str) -> _Drawing | None:
    """Something that moves beside the title and then vanishes; None where it cannot or another one does."""
    if _drawing or not sys.stderr.isatty() or os.environ.get("TERM", "") in _DUMB:
        return None
    try:
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner
        from rich.text import Text
    except ImportError:
        return None
    # In ASCII, which serial consoles have too. What is written to stderr meanwhile comes above it; stdout is not its.
    spinner = Spinner("line", Text(f"{title}..."))
    console = Console(stderr=True, highlight=False, force_terminal=True, soft_wrap=True)
    return _Drawing(Live(spinner, console=console, transient=True, refresh_per_second=8, redirect_stdout=False))


# The quiet zone around the code (ISO/IEC 18004 §5.3.8), half of what the standard asks for: enough for telephones.
BORDER = 2
# Two rows of modules a line: what is dark in the upper and in the lower one.
GLYPHS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
BLACK_ON_WHITE, NORMAL = "\033[30;107m", "\033[0m"


def terminal_text(address: str) -> str:
    """The lines that show ``address`` on this terminal; empty where that cannot be, or the library is not there."""
    if not (sys.stderr.isatty() and _has_blocks()):
        return ""
    try:
        from qrcode import QRCode
    except ImportError:
        return ""
    code = QRCode(border=BORDER)
    code.add_data(address)
    rows: list[list[bool]] = code.get_matrix()
    if len(rows[0]) > os.get_terminal_size(sys.stderr.fileno()).columns:
        return ""
    return drawn(rows, coloured="NO_COLOR" not in os.environ)


def drawn(rows: list[list[bool]], coloured: bool) -> str:
    """Dark and light modules as text, black on white.

    Without colours the light ones are drawn, as terminals are dark: few readers take an inverted code.
    """
    if len(rows) % 2:
        rows = [*rows, [False] * len(rows[0])]
    lines = []
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        text = "".join(GLYPHS[(a == coloured, b == coloured)] for a, b in zip(upper, lower, strict=True))
        lines.append(f"{BLACK_ON_WHITE}{text}{NORMAL}" if coloured else text)
    return "\n".join(lines) + "\n"


def _has_blocks() -> bool:
    try:
        "".join(GLYPHS.values()).encode(sys.stderr.encoding)
    except (LookupError, TypeError, UnicodeEncodeError):
        return False
    return True
