# SPDX-License-Identifier: Apache-2.0
"""Compute what a disk may hold after a power cut, from the system calls of a real run.

Of what was not made to last, anything may be there or not, and later things without earlier ones: the content of a
file lasts after an fsync of the file, a name (created, renamed, removed) after one of its directory. File systems
promise more than that (ext4 keeps the order of names); no code has to rely on it.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import PurePosixPath

from faults.syscalls import Call

_SYNCS = ("fsync", "fdatasync")
# Owners and modes are given before the content is synced, and last with it.
_NOTHING_OF_THESE = ("fchmod", "fchown", "open", "openat")
State = frozenset[tuple[str, bytes]]
"""Name and content of each file of a directory."""


@dataclass
class _File:
    """A file, whatever its name: what was written to it, and what of it lasts."""

    content: bytes = b""
    lasting: bytes | None = None

    def variants(self) -> set[bytes]:
        """What the disk may hold: nothing, a part, all."""
        if self.lasting == self.content:
            return {self.content}
        return {self.lasting or b"", self.content[: len(self.content) // 2], self.content}


@dataclass
class _Directory:
    """Names that last, and the changes that may: each a few names with the file that they get, or none."""

    lasting: dict[str, _File]
    pending: list[dict[str, _File | None]] = field(default_factory=list)

    def now(self) -> dict[str, _File]:
        """The names as running programs see them."""
        return _applied(self.lasting, self.pending)

    def sync(self) -> None:
        """Make all of it last."""
        self.lasting, self.pending = self.now(), []


def _applied(names: dict[str, _File], changes: Iterable[dict[str, _File | None]]) -> dict[str, _File]:
    result = dict(names)
    for change in changes:
        for name, file in change.items():
            result.pop(name, None)
            if file is not None:
                result[name] = file
    return result


def states(directory: str, before: dict[str, bytes], calls: list[Call]) -> Iterator[State]:
    """Every state of a directory after a power cut between two of the calls; the same one may come again."""
    disk = _Directory({name: _File(content, content) for name, content in before.items()})
    yield from _after_cut(disk)
    for call in calls:
        if call.result >= 0 and _apply(disk, directory, call):
            yield from _after_cut(disk)


def _after_cut(disk: _Directory) -> Iterator[State]:
    for count in range(len(disk.pending) + 1):
        for chosen in combinations(disk.pending, count):
            names = _applied(disk.lasting, chosen)
            for contents in product(*(sorted(file.variants()) for file in names.values())):
                yield frozenset(zip(names, contents, strict=True))


def _apply(disk: _Directory, directory: str, call: Call) -> bool:
    """Apply a call to the model; return whether it changed the directory."""
    if call.path == directory and call.name in _SYNCS:
        disk.sync()
        return True
    path, target = PurePosixPath(call.path), PurePosixPath(call.target or "/")
    if directory not in (os.fspath(path.parent), os.fspath(target.parent)):
        return False
    names = disk.now()
    change = _change_of_names(names, call, path.name, target.name)
    if change is not None:
        disk.pending.append(change)
    elif call.name in ("open", "openat") and call.flags & os.O_TRUNC:
        names[path.name].content = b""
    elif call.name == "write":
        names[path.name].content += bytes.fromhex(call.data)
    elif call.name in _SYNCS:
        names[path.name].lasting = names[path.name].content
    elif call.name not in _NOTHING_OF_THESE:
        # A call that the model does not know would lead to states that no test tries.
        raise NotImplementedError(f"the model of the disk does not know {call}")
    return True


def _change_of_names(names: dict[str, _File], call: Call, name: str, target: str) -> dict[str, _File | None] | None:
    if call.name in ("rename", "renameat", "renameat2"):
        return {name: None, target: names[name]}
    if call.name in ("link", "linkat"):
        return {target: names[name]}
    if call.name in ("unlink", "unlinkat"):
        return {name: None}
    if call.name in ("open", "openat") and not call.existed and call.flags & os.O_CREAT:
        return {name: _File()}
    return None
