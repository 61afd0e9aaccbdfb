# SPDX-License-Identifier: Apache-2.0
"""Run the executables of the checkout without the import of the libraries, which is most of their time.

They run in a fork of a process that has imported these (`unit/fork_server.py`), one for each worker.
"""

import atexit
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_SERVER = Path(__file__).with_name("fork_server.py")
# The interpreter, OpenSSL and the C library read these once, when they start.
_AT_START = ("PYTHON", "OPENSSL", "SSL_", "CRYPTO", "LC_", "LANG", "LD_", "MALLOC", "SOFTHSM", "PKCS11", "TPM", "TSS")
_PER_FORK = ("PYTHONPATH", "PYTHONPYCACHEPREFIX")
_MOST_INPUT = 1 << 15
"""Bytes that fit into a pipe which nobody reads yet."""


@dataclass(frozen=True)
class _Server:
    requests: socket.socket
    process: "subprocess.Popen[bytes]"
    environment: dict[str, str]
    user: int

    def end(self) -> None:
        self.requests.close()
        self.process.wait()


@cache
def _server() -> _Server:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with theirs:
        command = [sys.executable, str(_SERVER), str(theirs.fileno())]
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
        )
    server = _Server(ours, process, environment, os.geteuid())
    atexit.register(server.end)
    return server


def _of_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_AT_START) and name not in _PER_FORK}


def can_fork(command: Sequence[str], environment: Mapping[str, str], text: str) -> bool:
    """Return whether a fork is to the program what a new process is: nothing of it reads what is read at the start."""
    server = _server()
    # With it, OpenSSL is set up before its first use.
    provider = Path(environment.get("TEDGE_CONFIG_DIR", "/"), "openssl.env")
    return (
        command[0] == sys.executable
        and not command[1].startswith("-")
        and not any("\0" in word or word.startswith("--config-dir") for word in command)
        and _of_start(environment) == _of_start(server.environment)
        and not os.path.lexists(provider)
        and len(text.encode()) <= _MOST_INPUT
        and server.user == os.geteuid()
    )


def _umask() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Umask:")).split()[1], 8)


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    text: str = "",
    timeout_s: float = 60,
    umask: int = -1,
) -> "subprocess.CompletedProcess[str]":
    """Run a command with `text` as its input, as `subprocess.run` does; in a fork if that is the same to it."""
    if not can_fork(command, environment, text):
        return subprocess.run(
            command,
            env=environment,
            input=text,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout_s,
            check=False,
            umask=umask,
        )
    request = {
        "words": command[1:],
        "environment": dict(environment),
        "directory": str(Path.cwd()),
        "umask": _umask() if umask == -1 else umask,
    }
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    given, output, errors = os.pipe(), os.pipe(), os.pipe()
    with ours:
        os.write(given[1], text.encode())
        os.close(given[1])
        descriptors = [theirs.detach(), given[0], output[1], errors[1]]
        socket.send_fds(_server().requests, [json.dumps(request).encode()], descriptors)
        for each in descriptors:
            os.close(each)
        read, status = _communicate(command, ours, (output[0], errors[0]), timeout_s)
    said = [each.decode().replace("\r\n", "\n").replace("\r", "\n") for each in read]
    return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(status), *said)


def _communicate(
    command: Sequence[str], channel: socket.socket, pipes: tuple[int, ...], timeout_s: float
) -> tuple[list[bytes], int]:
    """Return what is written to the pipes, once all who may write have ended, and the wait status."""
    pid = int(channel.recv(32))
    found = dict.fromkeys(pipes, b"")
    deadline_s = time.monotonic() + timeout_s
    try:
        with selectors.DefaultSelector() as selector:
            for each in pipes:
                selector.register(each, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(max(0.0, deadline_s - time.monotonic()))
                if not ready and time.monotonic() >= deadline_s:
                    raise subprocess.TimeoutExpired(command, timeout_s)
                for key, _ in ready:
                    read = os.read(key.fd, 1 << 16)
                    found[key.fd] += read
                    if not read:
                        selector.unregister(key.fd)
        channel.settimeout(max(0.1, deadline_s - time.monotonic()))
        return [found[each] for each in pipes], int(channel.recv(32))
    except BaseException as error:  # also an interrupt
        os.kill(pid, signal.SIGKILL)
        if isinstance(error, TimeoutError):
            raise subprocess.TimeoutExpired(command, timeout_s) from error
        raise
    finally:
        for each in pipes:
            os.close(each)
