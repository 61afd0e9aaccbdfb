# SPDX-License-Identifier: Apache-2.0
"""What takes a while, told on stderr: on a terminal it moves, anywhere else a step is one whole line.

It is drawn by Debian's python3-rich, imported for a terminal only: nothing is paid for it where nobody looks, and
without it a terminal has the plain lines.
"""

import os
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from types import TracebackType

from tedge_cert import journal, notice

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
    notice.status(title)
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
