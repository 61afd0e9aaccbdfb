# SPDX-License-Identifier: Apache-2.0
"""Found by the interpreters whose clock is told what it says, and by no other.

Python sleeps until a point of the monotonic clock, which libfaketime takes for one of the clock that it changes.
What the kernel says of the clock's error is told by the tests too: -1 stands for a kernel that does not answer.
"""

import ctypes
import os
import select
import time
from types import SimpleNamespace
from typing import Any, SupportsIndex

from tedge_cert import systemd


def _sleep(seconds: float | SupportsIndex) -> None:
    select.select([], [], [], float(seconds))


time.sleep = _sleep


def _adjtimex(reference: Any) -> int:
    error_us = int(os.environ["KERNEL_CLOCK_ERROR_US"])
    reference._obj.maxerror = error_us
    return error_us if error_us < 0 else 0


if "KERNEL_CLOCK_ERROR_US" in os.environ:
    kernel = SimpleNamespace(CDLL=lambda _: SimpleNamespace(adjtimex=_adjtimex), byref=ctypes.byref)
    vars(systemd)["ctypes"] = kernel
