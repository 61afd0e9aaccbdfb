# SPDX-License-Identifier: Apache-2.0
"""Run scripts in forks of this process, which has imported modules that they need.

    python server.py DESCRIPTOR MODULE…

Requests come to the descriptor. Each names a script, and brings a channel and the child's stdin, stdout and stderr. The
channel gets the process id, and later the wait status. `forks/client.py` asks.
"""

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn


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


def _become(request: dict[str, Any]) -> str:
    """Make this process what a new one of the interpreter would be, and return its script."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    os.umask(request["umask"])
    time.tzset()
    script, *_ = words = request["words"]
    sys.argv[:] = words
    sys.orig_argv[:] = [sys.executable, *words]
    sys.pycache_prefix = os.environ.get("PYTHONPYCACHEPREFIX")
    sys.path[:0] = [str(Path(script).parent), *os.environ["PYTHONPATH"].split(":")]
    return str(script)


def _run(script: str) -> int:
    """Run it as `__main__`, and return its exit code."""
    code = compile(Path(script).read_bytes(), script, "exec")
    main = type(sys)("__main__")
    main.__dict__.update(__file__=script, __builtins__=__builtins__)
    sys.modules["__main__"] = main
    try:
        exec(code, main.__dict__)  # noqa: S102
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 (as the interpreter does)
        sys.excepthook(*sys.exc_info())
    else:
        return 0
    return 1


def _end(code: int) -> NoReturn:
    """End as the interpreter does, but leave the memory alone: to clear it costs more than most programs."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    del sys.path[0]
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.default_int_handler:
        # A person who interrupts the tests interrupts the server, which then says nothing.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    descriptor, *modules = sys.argv[1:]
    for name in modules:
        importlib.import_module(name)
    gc.freeze()
    wanted = _serve(socket.socket(fileno=int(descriptor)))
    signal.signal(signal.SIGINT, interrupt)
    _end(_run(_become(wanted)))
