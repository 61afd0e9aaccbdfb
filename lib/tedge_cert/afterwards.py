# SPDX-License-Identifier: Apache-2.0
"""Keep work for the end of the process, when its locks are free again."""

from collections.abc import Callable

_kept: list[Callable[[], None]] = []


def do(work: Callable[[], None]) -> None:
    """Do ``work`` when the command has ended, whether it succeeded or failed."""
    _kept.append(work)


def finish() -> None:
    """Do what was kept, in its order."""
    while _kept:
        _kept.pop(0)()
