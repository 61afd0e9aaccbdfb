# SPDX-License-Identifier: Apache-2.0
"""Run scripts in forks of this process, which has imported modules that they need.

    python server.py DESCRIPTOR WITHOUT MODULE…

Requests come to the descriptor. Each names a script, and brings a channel and the child's stdin, stdout and stderr. The
channel gets the process id, and later the wait status. `forks/client.py` asks. What imports WITHOUT is left to the
children.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any


def _serve(requests: socket.socket) -> dict[str, Any]:
    """Fork for each request and return it in the child; the server itself ends with the process that started it."""
    running: dict[int, tuple[int, socket.socket]] = {}
    poll = select.poll()
    poll.register(requests, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in running:
                poll.unregister(descriptor)
                pid, channel = running.pop(descriptor)
                os.close(descriptor)
                with channel, suppress(BrokenPipeError):  # the test gave up a program that took too long
                    channel.send(str(os.waitpid(pid, 0)[1]).encode())
                continue
            text, given, _, _ = socket.recv_fds(requests, 1 << 20, 4)
            if not text:
                os._exit(0)
            if (pid := os.fork()) == 0:
                for number, each in enumerate(given[1:]):
                    os.dup2(each, number)
                os.closerange(3, 1 << 16)
                request: dict[str, Any] = json.loads(text)
                return request
            channel = socket.socket(fileno=given[0])
            for each in given[1:]:
                os.close(each)
            channel.send(str(pid).encode())
            ended = os.pidfd_open(pid)
            running[ended] = pid, channel
            poll.register(ended, select.POLLIN)


def _import(modules: list[str], without: str) -> None:
    known: dict[str, ModuleType | None] = vars(sys)["modules"]
    known[without] = None  # is how a module is said to be missing (import statement in the Python reference)
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            if error.name != without:
                raise
    del known[without]


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parent.parent)
    from forks import program

    del sys.path[0]
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.default_int_handler:
        # A person who interrupts the tests interrupts the server, which then says nothing.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    descriptor, without, *modules = sys.argv[1:]
    _import(modules, without)
    gc.freeze()
    wanted = _serve(socket.socket(fileno=int(descriptor)))
    signal.signal(signal.SIGINT, interrupt)
    os.chdir(wanted["directory"])
    os.umask(wanted["umask"])
    program.end(program.run(program.become(wanted["words"], wanted["environment"])))
