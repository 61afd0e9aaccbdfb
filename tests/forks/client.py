# SPDX-License-Identifier: Apache-2.0
"""Ask a server of forks for a child; see `forks/server.py`."""

import atexit
import json
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_SERVER = Path(__file__).with_name("server.py")


def _umask() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Umask:")).split()[1], 8)


class Fork:
    """A running child of a server, with the methods of a `subprocess.Popen` that tests need."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self.pid = int(channel.recv(32))
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return its exit code; raises TimeoutExpired."""
        if self.returncode is None:
            self._channel.settimeout(timeout)
            try:
                status = self._channel.recv(32)
            except TimeoutError as error:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0) from error
            self._channel.close()
            # Without a status the server was killed, and its children end then.
            self.returncode = os.waitstatus_to_exitcode(int(status)) if status else -signal.SIGKILL
        return self.returncode

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


@dataclass(frozen=True)
class Server:
    """A process that has imported modules, and forks."""

    requests: socket.socket
    process: "subprocess.Popen[bytes]"
    environment: Mapping[str, str]
    user: int

    @classmethod
    def start(cls, python: str, modules: Sequence[str], environment: Mapping[str, str], without: str = "") -> Self:
        """Start one; it ends with this process. Modules that import that one are left to the children."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [python, str(_SERVER), str(theirs.fileno()), without, *modules]
            quiet, passed = subprocess.DEVNULL, [theirs.fileno()]
            process = subprocess.Popen(command, env=environment, stdin=quiet, stdout=quiet, pass_fds=passed)
        server = cls(ours, process, environment, os.geteuid())
        atexit.register(server._end)
        return server

    def _end(self) -> None:
        self.requests.close()
        self.process.wait()

    def fork(
        self, words: Sequence[str], environment: Mapping[str, str], files: tuple[int, int, int], umask: int = -1
    ) -> Fork:
        """Run a script with its arguments in a child that has these three files."""
        request = {
            "words": list(words),
            "environment": dict(environment),
            "directory": str(Path.cwd()),
            "umask": _umask() if umask == -1 else umask,
        }
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self.requests, [json.dumps(request).encode()], [theirs.fileno(), *files])
        return Fork(ours)
