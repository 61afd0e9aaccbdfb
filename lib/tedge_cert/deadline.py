# SPDX-License-Identifier: Apache-2.0
"""Bound the time of a whole operation, however many waits it consists of."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_S = 1.0
_AT_ONCE_S = 0.001


class _ElapsedError(Exception):
    """Not an OSError: a library that tries one address after the other would take that for the failure of one."""


@contextmanager
def bounded(seconds: float, what: str) -> Iterator[None]:
    """Raise TimeoutError in the main thread when the block takes longer than ``seconds``.

    A time-out on a socket starts again with every byte, so a server that sends one byte a second would never reach
    it. The interval timer counts elapsed time, not the wall clock (setitimer(2)): setting the clock meanwhile changes
    nothing. A block in another one ends first; the outer one is then late by ``seconds`` at most.
    """

    # Most commands wait for nothing.
    import signal

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise _ElapsedError

    if seconds <= 0:
        # Zero would mean no timer at all.
        raise TimeoutError(f"{what} took longer than {seconds:g} s")
    began_s, outer_s = time.monotonic(), 0.0
    before = signal.signal(signal.SIGALRM, ring)
    try:
        # Again each second, because an exception in a finalizer is lost.
        outer_s, _ = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_S)
        yield
    except _ElapsedError:
        raise TimeoutError(f"{what} took longer than {seconds:g} s") from None
    finally:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            signal.signal(signal.SIGALRM, before)
            if outer_s:
                left_s = outer_s - (time.monotonic() - began_s)
                signal.setitimer(signal.ITIMER_REAL, max(left_s, _AT_ONCE_S), _AGAIN_S)


class Deadline:
    """A point in monotonic time, for waits that take their length as an argument."""

    def __init__(self, seconds: float) -> None:
        self._end_s = time.monotonic() + seconds

    def left_s(self) -> float:
        """Return the seconds until then, never negative."""
        return max(0.0, self._end_s - time.monotonic())

    def passed(self) -> bool:
        return self.left_s() == 0.0
