# SPDX-License-Identifier: Apache-2.0
"""One bound for a whole operation, however many waits it consists of."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_S = 1.0


class _ElapsedError(Exception):
    """Not an OSError: whoever tries one address after the other would take that for the failure of one."""


@contextmanager
def bounded(seconds: float, what: str) -> Iterator[None]:
    """Raise TimeoutError in the main thread when the block takes longer than ``seconds``.

    A time-out on a socket starts anew with every byte, so a server that drips one byte a second would never hit
    it. The interval timer counts elapsed time, not the wall clock (setitimer(2)): a clock that is set meanwhile
    changes nothing. Blocks do not nest.
    """

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise _ElapsedError

    if seconds <= 0:
        # Zero would mean no timer at all.
        raise TimeoutError(f"{what} took longer than {seconds:g} s")
    before = signal.signal(signal.SIGALRM, ring)
    try:
        # Once more each second, because an exception is lost where nobody can catch it, in a finalizer say.
        signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_S)
        yield
    except _ElapsedError:
        raise TimeoutError(f"{what} took longer than {seconds:g} s") from None
    finally:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            signal.signal(signal.SIGALRM, before)


class Deadline:
    """A point in monotonic time, for waits that are told how long they may take."""

    def __init__(self, seconds: float) -> None:
        self._end_s = time.monotonic() + seconds

    def left_s(self) -> float:
        """Seconds until then, never negative."""
        return max(0.0, self._end_s - time.monotonic())

    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left_s() == 0.0
