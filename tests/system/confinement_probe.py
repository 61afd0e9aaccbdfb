# SPDX-License-Identifier: Apache-2.0
"""Attempts of a process inside a unit, printed as one line of JSON: each with "done" or its error.

Copied to a device and run there by Debian's own Python; it needs nothing else.
"""

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_USER, _NEW_MOUNT, _NEW_NET = 0x10000000, 0x00020000, 0x40000000
_TRACE_ME, _CAPABILITY_VERSION, _LINUX32 = 0, 0x20080522, 8


def _call(name: str, *arguments: object) -> None:
    """A function of the C library, its error raised."""
    if getattr(_LIBC, name)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _capset() -> None:
    # Header, then effective, permitted, inheritable: the lower half of all capabilities and none of the upper.
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0, 0, 0))


def _setuid_program() -> None:
    shown = subprocess.run(["/usr/local/bin/setuid-id", "-u"], capture_output=True, text=True, check=True).stdout
    if shown.strip() != "0":
        raise OSError(errno.EPERM, f"ran as {shown.strip()}")


def _leave_setuid() -> None:
    made = Path("/etc/tedge/device-certs/probe")
    made.touch()
    try:
        made.chmod(0o4755)
    finally:
        made.unlink()


def _see_process_1() -> None:
    if not Path("/proc/1").exists():
        raise OSError(errno.ENOENT, "no such process")


def _no_core() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))


def _load_module() -> None:
    _call("syscall", 175 if os.uname().machine == "x86_64" else 105, b"", 0, b"")


def _write(path: str) -> Callable[[], object]:
    return lambda: Path(path).write_text("probe", encoding="utf-8")


def _write_and_remove(path: str) -> None:
    Path(path).touch()
    Path(path).unlink()


ATTEMPTS: dict[str, Callable[[], object]] = {
    "write /etc/tedge": _write("/etc/tedge/tedge.toml"),
    "write /var/lib": _write("/var/lib/probe-target/file"),
    "write /usr": _write("/usr/local/probe-target/file"),
    "write its directory": lambda: _write_and_remove("/etc/tedge/device-certs/probe"),
    "write its locks": lambda: _write_and_remove("/run/tedge-cert-renewer/probe"),
    "read /home": lambda: Path("/home/somebody/file").read_text(),
    "read /root": lambda: Path("/root/file").stat(),
    "read /tmp of others": lambda: Path("/tmp/of-others").read_text(),
    "see a kernel device": lambda: Path("/dev/kmsg").stat(),
    "see process 1": _see_process_1,
    "see the machine": lambda: Path("/proc/cpuinfo").read_text(),
    "socket netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "socket packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "socket alg": lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET).close(),
    "socket inet": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close(),
    "socket inet6": lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close(),
    "ptrace": lambda: _call("ptrace", _TRACE_ME, 0, 0, 0),
    "load a module": _load_module,
    "setuid program": _setuid_program,
    "leave a setuid program": _leave_setuid,
    "capset": _capset,
    "setuid": lambda: os.setuid(0),
    "new user namespace": lambda: _call("unshare", _NEW_USER),
    "new mount namespace": lambda: _call("unshare", _NEW_USER | _NEW_MOUNT),
    "new network namespace": lambda: _call("unshare", _NEW_USER | _NEW_NET),
    "mount": lambda: _call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "chroot": lambda: os.chroot("/"),
    "writable and executable memory": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC),
    "real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "another personality": lambda: _call("personality", _LINUX32),
    "set the clock": lambda: _call("clock_settime", 0, (ctypes.c_long * 2)(1_000_000_000, 0)),
    "set the host name": lambda: _call("sethostname", b"probe", 5),
    "read the kernel log": lambda: _call("klogctl", 3, ctypes.create_string_buffer(64), 64),
    "chown": lambda: os.chown("/etc/tedge/device-certs", -1, -1),
    "dump core": _no_core,
}


def attempt(what: Callable[[], object]) -> str:
    """Return how an attempt ended; it runs in its own process, because some cannot be undone or end the process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            what()
            said = "done"
        except (OSError, ValueError) as error:
            number = error.errno if isinstance(error, OSError) else None
            said = errno.errorcode.get(number or 0, str(error))
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    status = os.waitpid(child, 0)[1]
    return said or f"ended by {status}"


if __name__ == "__main__":
    sys.stderr.write(json.dumps({name: attempt(what) for name, what in ATTEMPTS.items()}) + "\n")
