# SPDX-License-Identifier: Apache-2.0
"""Runs a program, notes each system call that changes a file, and kills it before or after one of them.

    python -m faults.tracer LOG NUMBER before|after [--fork] PROGRAM ARGUMENT…

The calls are lines of JSON in LOG, what was started (arguments, environment) in LOG.started; NUMBER counts the calls
from one, 0 kills never. Where this is itself a fork (`forks/`), so is the program with --fork, and it is no start then.
Ends as the program did. A program of its own, because the tracer has to be the one thread
that started what is traced (ptrace(2), seccomp(2)).
"""

import ctypes
import json
import os
import signal
import struct
import sys
from typing import NoReturn, TextIO

from faults.syscalls import ARCHITECTURE, NUMBERS, Call, Memory, decode

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_LIBC.ptrace.restype = ctypes.c_long
# linux/ptrace.h
_TRACEME, _CONT, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 7, 24, 0x4200, 0x420E
_EVENT_EXEC, _EVENT_SECCOMP = 4, 7
# SYSGOOD, FORK, VFORK, CLONE, EXEC, SECCOMP, EXITKILL
_OPTIONS = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x80 | 0x100000
_WALL = 0x40000000
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_INFO_BYTES = 88


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> int:
    result: int = _LIBC.ptrace(request, pid, address, data)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _stop_at_calls() -> None:
    """Have the kernel stop this process, and what it becomes, at the calls of the table alone (linux/filter.h)."""
    load, equal, give = 0x20, 0x15, 0x06
    trace, allow = 0x7FF00000, 0x7FFF0000
    numbers = sorted(NUMBERS)
    program = [(load, 0, 0, 4), (equal, 1, 0, ARCHITECTURE), (give, 0, 0, allow), (load, 0, 0, 0)]
    program += [(equal, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    program += [(give, 0, 0, allow), (give, 0, 0, trace)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    no_new_privileges, set_seccomp, filtered = 38, 22, 2
    if _LIBC.prctl(no_new_privileges, 1, 0, 0, 0) or _LIBC.prctl(set_seccomp, filtered, header, 0, 0):
        raise OSError(ctypes.get_errno(), "no filter of system calls")


def _become(argv: list[str]) -> NoReturn:
    _ptrace(_TRACEME, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    if argv[0] != "--fork":
        _stop_at_calls()
        os.execvp(argv[0], argv)
    from forks import program

    os.closerange(3, 1 << 16)
    _stop_at_calls()
    program.end(program.run(program.become(argv[2:], os.environ)))


class Tracer:
    """One run of a program."""

    def __init__(self, log: TextIO, wanted: int, when: str) -> None:
        self._log = log
        self._wanted = wanted
        self._when = when
        self._count = 0
        # Calls that have begun, by the thread that makes them.
        self._begun: dict[int, Call] = {}

    def run(self, argv: list[str]) -> int:
        """Run it to its end; its exit code, or the negative number of the signal that ended it."""
        main = os.fork()
        if main == 0:
            _become(argv)
        os.waitpid(main, 0)
        _ptrace(_SETOPTIONS, main, 0, _OPTIONS)
        _ptrace(_CONT, main)
        while True:
            pid, status = os.waitpid(-1, _WALL)
            if not os.WIFSTOPPED(status):
                if pid == main:
                    return os.waitstatus_to_exitcode(status)
                continue
            try:
                self._stopped(pid, main, os.WSTOPSIG(status), status >> 16)
            except ProcessLookupError:
                continue  # killed meanwhile

    def _stopped(self, pid: int, main: int, signal_number: int, event: int) -> None:
        if event == _EVENT_SECCOMP:
            call = self._enters(pid, main)
            _ptrace(_CONT if call is None else _SYSCALL, pid)
        elif signal_number == _SYSCALL_STOP:
            self._leaves(pid, main)
            _ptrace(_CONT, pid)
        else:
            if event == _EVENT_EXEC:
                self._starts(pid)
            # A thread or child begins with a stop that no signal caused.
            ours = event != 0 or signal_number in (signal.SIGSTOP, signal.SIGTRAP)
            _ptrace(_CONT, pid, 0, 0 if ours else signal_number)

    def _enters(self, pid: int, main: int) -> Call | None:
        number, *arguments = struct.unpack_from("7Q", _info(pid), 24)
        call = decode(number, tuple(arguments), Memory(pid))
        if call is not None:
            self._count += 1
            call.number = self._count
            self._begun[pid] = call
            if (call.number, self._when) == (self._wanted, "before"):
                os.kill(main, signal.SIGKILL)
        return call

    def _starts(self, pid: int) -> None:
        """Note what a process has become, as everybody on the machine can read it, or its own user."""
        begins = {}
        for name in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{name}", "rb") as file:  # noqa: PTH123
                begins[name] = os.fsdecode(file.read()).split("\0")[:-1]
        with open(f"{self._log.name}.started", "a", encoding="utf-8") as started:  # noqa: PTH123
            started.write(json.dumps(begins) + "\n")

    def _leaves(self, pid: int, main: int) -> None:
        call = self._begun.pop(pid)
        (call.result,) = struct.unpack_from("q", _info(pid), 24)
        self._log.write(json.dumps(call.to_json()) + "\n")
        self._log.flush()
        if (call.number, self._when) == (self._wanted, "after"):
            os.kill(main, signal.SIGKILL)


def _info(pid: int) -> bytes:
    buffer = ctypes.create_string_buffer(_INFO_BYTES)
    _ptrace(_GET_SYSCALL_INFO, pid, _INFO_BYTES, ctypes.addressof(buffer))
    return buffer.raw


def main() -> None:
    """Run what the command line says."""
    log, number, when, *argv = sys.argv[1:]
    with open(log, "w", encoding="utf-8") as file:  # noqa: PTH123
        code = Tracer(file, int(number), when).run(argv)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
