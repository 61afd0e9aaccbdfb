# SPDX-License-Identifier: Apache-2.0
"""One line for a step that takes a while: on a terminal it begins before the step, elsewhere it is whole."""

import sys
from types import TracebackType


class Step:
    """``<title>... ✓`` or ``<title>... ✗`` on stderr, around the block of a ``with`` statement."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> None:
        if self._terminal:
            sys.stderr.write(f"{self._title}... ")
            sys.stderr.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        begun = "" if self._terminal else f"{self._title}... "
        sys.stderr.write(f"{begun}{'✓' if kind is None else '✗'}\n")
        sys.stderr.flush()
