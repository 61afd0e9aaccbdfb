# SPDX-License-Identifier: Apache-2.0
"""The system calls that change files, by number, and what their arguments mean (linux/arch/*/syscalls)."""

import os
import platform
from dataclasses import asdict, dataclass, field
from typing import Any

# Number of each call on x86-64 and on arm64, which does without those that have a newer form.
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "open": (2, None), "creat": (85, None), "openat": (257, 56), "openat2": (437, 437),
    "write": (1, 64), "pwrite64": (18, 68), "writev": (20, 66), "sendfile": (40, 71), "copy_file_range": (326, 285),
    "truncate": (76, 45), "ftruncate": (77, 46), "fallocate": (285, 47), "fsync": (74, 82), "fdatasync": (75, 83),
    "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276),
    "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36),
    "unlink": (87, None), "unlinkat": (263, 35), "rmdir": (84, None), "mkdir": (83, None), "mkdirat": (258, 34),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53),
    "chown": (92, None), "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54),
    "utimensat": (280, 88), "setxattr": (188, 5), "fsetxattr": (190, 7), "lsetxattr": (189, 6),
}  # fmt: skip
ARCHITECTURE, _COLUMN = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}.get(platform.machine(), (0, 0))
NUMBERS = {number: name for name, numbers in _NUMBERS.items() if (number := numbers[_COLUMN]) is not None}

# Where the arguments of each call are: a directory's descriptor and a path (None: relative to the working directory),
# twice for calls with two paths.
_PATHS: dict[str, tuple[tuple[int | None, int], ...]] = {
    "open": ((None, 0),), "creat": ((None, 0),), "openat": ((0, 1),), "openat2": ((0, 1),),
    "truncate": ((None, 0),), "rename": ((None, 0), (None, 1)), "renameat": ((0, 1), (2, 3)),
    "renameat2": ((0, 1), (2, 3)), "link": ((None, 0), (None, 1)), "linkat": ((0, 1), (2, 3)),
    "symlink": ((None, 1),), "symlinkat": ((1, 2),), "unlink": ((None, 0),), "unlinkat": ((0, 1),),
    "rmdir": ((None, 0),), "mkdir": ((None, 0),), "mkdirat": ((0, 1),), "chmod": ((None, 0),),
    "fchmodat": ((0, 1),), "chown": ((None, 0),), "lchown": ((None, 0),), "fchownat": ((0, 1),),
    "utimensat": ((0, 1),), "setxattr": ((None, 0),), "lsetxattr": ((None, 0),),
}  # fmt: skip
# Calls that are given an open file: which argument it is.
_DESCRIPTOR = {"sendfile": 0, "copy_file_range": 2}
_FLAGS = {"open": 1, "openat": 2}
_MODE = {"open": 2, "openat": 3, "chmod": 1, "fchmod": 1, "fchmodat": 2, "mkdir": 1, "mkdirat": 2}
_OWNERS = {"chown": 1, "lchown": 1, "fchown": 1, "fchownat": 2}
AT_FDCWD = -100
# Files without a disk below them. Where tests have their disks in memory, that stands for one.
_NO_DISK = ("/dev/", "/proc/", "/sys/")
_DISK = "/dev/shm/"


@dataclass
class Call:
    """A call that changes a file, or makes a change last."""

    number: int
    name: str
    path: str
    target: str = ""
    flags: int = 0
    mode: int = -1
    owner: list[int] = field(default_factory=list)
    data: str = ""
    existed: bool = False
    result: int = 0

    def to_json(self) -> dict[str, Any]:
        """What stands in a log."""
        return asdict(self)


class Memory:
    """What a stopped process has in its memory and open."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def read(self, address: int, count: int) -> bytes:
        """So many bytes from an address on."""
        with open(f"/proc/{self._pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
            memory.seek(address)
            return memory.read(count)

    def text(self, address: int) -> str:
        """The text at an address, which ends with a zero; read up to the end of its page, then further."""
        found = b""
        while b"\0" not in found and len(found) < 65_536:
            start = address + len(found)
            found += self.read(start, 4096 - start % 4096)
        return os.fsdecode(found.partition(b"\0")[0])

    def file(self, descriptor: int) -> str:
        """The path of an open file; empty if it has none (a pipe, a socket)."""
        where = "cwd" if descriptor == AT_FDCWD else f"fd/{descriptor}"
        try:
            path = os.readlink(f"/proc/{self._pid}/{where}")  # noqa: PTH115
        except OSError:
            return ""
        return path if path.startswith("/") else ""


def decode(number: int, arguments: tuple[int, ...], memory: Memory) -> Call | None:
    """What a call is about to do to a file; None if it changes none."""
    name = NUMBERS[number]
    if name in _PATHS:
        paths = [_path(memory, arguments, *where) for where in _PATHS[name]]
    else:
        paths = [memory.file(_signed(arguments[_DESCRIPTOR.get(name, 0)]))]
    flags = arguments[_FLAGS[name]] if name in _FLAGS else 0
    if not _is_on_disk(paths[0]) or (name in _FLAGS and not _changes(flags)):
        return None
    call = Call(0, name, paths[0], paths[1] if len(paths) > 1 else "", flags)
    call.existed = os.path.lexists(paths[-1])
    if name in _MODE:
        call.mode = arguments[_MODE[name]] & 0o7777
    if name in _OWNERS:
        at = _OWNERS[name]
        call.owner = [_signed(arguments[at]), _signed(arguments[at + 1])]
    if name in ("symlink", "symlinkat"):
        call.target = memory.text(arguments[0])
    if name in ("write", "pwrite64"):
        call.data = memory.read(arguments[1], arguments[2]).hex()
    return call


def _is_on_disk(path: str) -> bool:
    return bool(path) and (path.startswith(_DISK) or not path.startswith(_NO_DISK))


def _path(memory: Memory, arguments: tuple[int, ...], directory: int | None, at: int) -> str:
    base = memory.file(AT_FDCWD if directory is None else _signed(arguments[directory]))
    # utimensat(2) takes no path for an open file.
    path = memory.text(arguments[at]) if arguments[at] else ""
    return os.path.normpath(os.path.join(base, path))  # noqa: PTH118


def _changes(flags: int) -> bool:
    return bool(flags & (os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_RDWR))


def _signed(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value
