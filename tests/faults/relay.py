# SPDX-License-Identifier: Apache-2.0
"""A way to the tenant that can be cut silently: packets are lost, and no connection ends."""

import os
import signal
import subprocess
import sys
from typing import Self

from tenant.ports import free_port
from unit.local_device import ROOT, await_port


class Relay:
    """Carries connections to `port` on to a port of this machine; use it as a context manager."""

    def __init__(self, there: int) -> None:
        self.port = free_port()
        self._there = there
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.mend()
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    def mend(self) -> None:
        """Carry packets again, including frozen ones."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            return
        command = [sys.executable, "-m", "system.forwarder", f"{self.port}:127.0.0.1:{self._there}"]
        self._process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT / "tests")})
        await_port(self.port)

    def freeze(self) -> None:
        """Drop all packets silently: connections stay open, and new ones get no answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def end(self) -> None:
        """Cut all connections; new ones are refused."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
