# SPDX-License-Identifier: Apache-2.0
"""A program that runs in a device while the test does other things, and whose lines can be awaited."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_REAP_S = 5.0


def end(process: subprocess.Popen[str]) -> None:
    """End a command of a device, started as the leader of a process group, with all that belongs to it.

    What entered the device is left to be reaped by the nsenter that leads the group. Killed together with it,
    the dead would wait for PID 1 of this machine, and the end of the device would wait for that.
    """
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            group = int(path.read_text().rpartition(")")[2].split()[2])
            if group == process.pid and path.parent.name != str(process.pid):
                os.kill(int(path.parent.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    try:
        process.wait(_REAP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Background:
    """A running program; its output and errors are one stream of lines."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._news = threading.Condition()
        self._lines: list[str] = []
        self._ended = False
        self.process = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        stream = self.process.stdout
        for line in stream or ():
            with self._news:
                self._lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def lines(self) -> list[str]:
        """Return the lines so far."""
        with self._news:
            return list(self._lines)

    def expect(self, wanted: str | Callable[[str], bool], timeout_s: float = 20) -> str:
        """Wait for a line, past or coming, that contains the text or that the function says yes to."""
        matches = wanted if callable(wanted) else lambda line: wanted in line
        deadline = time.monotonic() + timeout_s
        seen = 0
        with self._news:
            while True:
                for line in self._lines[seen:]:
                    if matches(line):
                        return line
                seen = len(self._lines)
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "ended" if self._ended else f"nothing within {timeout_s} s"
                    raise TimeoutError(f"{wanted!r}: {why}, after {self._lines[-20:]}")
                self._news.wait(left)

    def wait(self, timeout_s: float = 20) -> int:
        """Wait until the program ends by itself; return its exit code."""
        code = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return code

    def stop(self) -> list[str]:
        """End the program if it runs; return all its lines."""
        if self.process.poll() is None:
            end(self.process)
        self._reader.join(20)
        return self.lines
