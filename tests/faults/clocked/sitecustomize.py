# SPDX-License-Identifier: Apache-2.0
"""Found by the interpreters whose clock is told what it says, and by no other.

Python sleeps until a point of the monotonic clock, which libfaketime takes for one of the clock that it changes.
"""

import select
import time
from typing import SupportsIndex


def _sleep(seconds: float | SupportsIndex) -> None:
    select.select([], [], [], float(seconds))


time.sleep = _sleep
