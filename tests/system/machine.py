# SPDX-License-Identifier: Apache-2.0
"""What the harness does on the machine it runs on: the cache, locks, commands, progress, bounded waits."""

import fcntl
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter", "unshare", "ip", "dpkg-buildpackage", "dpkg-deb", "git")


class HostCommandError(Exception):
    """A command on this machine failed; the text holds its command line and output."""


def missing() -> str | None:
    """Say why no device can be booted here, or None when one can."""
    if os.geteuid() != 0:
        return "system tests boot containers and need root"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        packages = "mmdebstrap, systemd-container, iproute2, debhelper, git"
        return f"system tests need {', '.join(absent)} (packages {packages})"
    return None


def cache_directory() -> Path:
    """Return where trees and packages outlive the session: outside of any checkout."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    chosen = Path(os.environ.get("TEDGE_TEST_CACHE") or home / "tedge-cert-renewer").resolve()
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name` against the other workers and sessions of this cache."""
    locks = cache_directory() / "locks"
    locks.mkdir(exist_ok=True)
    with (locks / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def command(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 30,
) -> str:
    """Run a command of this machine, return what it printed; a failure carries that output."""
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HostCommandError(f"{shlex.join(argv)}: not done within {timeout_s} s:\n{error.output!r}") from error
    if done.returncode != 0:
        raise HostCommandError(f"{shlex.join(argv)}: exit {done.returncode}:\n{done.stdout}")
    return done.stdout


def say(what: str) -> None:
    """Say something on the terminal, also while pytest captures output."""
    print(f"[system] {what}", file=sys.__stderr__, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say on the terminal what takes long and how long it took, also while pytest captures output."""
    began = time.monotonic()
    say(f"{what} …")
    yield
    say(f"{what}: {time.monotonic() - began:.1f} s")


def await_until(question: Callable[[], bool], what: str, timeout_s: float, interval_s: float = 0.05) -> None:
    """Ask until the answer is yes; the one place that polls, for what nothing announces."""
    deadline = time.monotonic() + timeout_s
    while not question():
        if time.monotonic() >= deadline:
            raise TimeoutError(f"not within {timeout_s} s: {what}")
        time.sleep(interval_s)
