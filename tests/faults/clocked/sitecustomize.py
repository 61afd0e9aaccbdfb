# SPDX-License-Identifier: Apache-2.0
"""Change the clock of the interpreters that find this file, and of no other.

Python sleeps until a point of the monotonic clock, which libfaketime takes for one of the clock that it changes.
A test can put a `timedatectl` of its own before that of this machine.
"""

import os
import select
import time
from typing import SupportsIndex

from tedge_cert import processes


def _sleep(seconds: float | SupportsIndex) -> None:
    select.select([], [], [], float(seconds))


time.sleep = _sleep

if "TIMEDATECTL_DIRECTORY" in os.environ:
    processes.PATH = f"{os.environ['TIMEDATECTL_DIRECTORY']}:{processes.PATH}"
