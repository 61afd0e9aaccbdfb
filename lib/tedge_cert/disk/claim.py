# SPDX-License-Identifier: Apache-2.0
"""Make a directory and what lies in it root's, where another user could write it until now."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tedge_cert.disk import owners

# It lies less deep. A name has at most 255 bytes.
_DEEPEST, _STEM_BYTES = 8, 200


@dataclass(frozen=True)
class Claimed:
    """Files that became root's, and entries that can be no configuration, as they are named since they were moved."""

    files: tuple[Path, ...] = ()
    moved: tuple[Path, ...] = ()

    def __add__(self, other: "Claimed") -> "Claimed":
        return Claimed(self.files + other.files, self.moved + other.moved)


def claim(directory: Path, only: Sequence[str] = ()) -> Claimed:
    """Make ``directory`` and what lies in it root's, where another user could write it until now.

    Each file is copied: a process of that user may still have the old one open. A link, or a file with a second name,
    is moved aside, because it may lead to a file of the user, or to one that only root may read. So is what is too
    large or too deep: it would fill the disk, or keep the rest from becoming root's. ``directory`` itself may be a link
    where only root can make one, as in an image that keeps /etc/tedge elsewhere.
    """
    leads_to = directory.resolve() if owners.is_only_roots(directory.parent) else directory
    with owners.opened(leads_to, os.O_DIRECTORY) as parent:
        return Claimed() if parent is None else _claim(directory, parent, only)


def _claim(directory: Path, parent: int, only: Sequence[str], depth: int = 0) -> Claimed:
    if not owners.is_roots(os.fstat(parent)):
        owners.apply_access(parent, owners.DIRECTORY_OF_ROOT)
    claimed = Claimed()
    for name in only or sorted(os.listdir(parent)):
        with owners.opened(name, os.O_NONBLOCK, parent) as descriptor:
            facts = os.fstat(descriptor) if descriptor is not None else None
            if descriptor is None or facts is None:
                claimed += _move_aside(directory, name, parent)
            elif stat.S_ISDIR(facts.st_mode) and depth < _DEEPEST:
                claimed += _claim(directory / name, descriptor, (), depth + 1)
            elif not owners.is_plain(descriptor, parent) or facts.st_size > owners.LARGEST_BYTES:
                claimed += _move_aside(directory, name, parent)
            elif not owners.is_roots(facts):
                _copy(name, descriptor, parent)
                claimed += Claimed(files=(directory / name,))
    return claimed


def _move_aside(directory: Path, name: str, parent: int) -> Claimed:
    aside = f"{_stem(name)}.ignored"
    while _facts_in(parent, aside) is not None:
        aside = f"{_stem(name)}.{os.urandom(4).hex()}.ignored"
    try:
        os.rename(name, aside, src_dir_fd=parent, dst_dir_fd=parent)
    except FileNotFoundError:
        return Claimed()
    facts = _facts_in(parent, aside)
    # A file with a second name may be another one's.
    if facts is not None and facts.st_nlink == 1:
        os.chown(aside, 0, 0, dir_fd=parent, follow_symlinks=False)
    return Claimed(moved=(directory / aside,))


def _facts_in(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _stem(name: str) -> str:
    """Shorten a name, so that something can be added to it."""
    return os.fsdecode(os.fsencode(name)[:_STEM_BYTES])


def _copy(name: str, source: int, parent: int) -> None:
    """Replace a file by a copy that is root's; a copy for one group stays that group's to read."""
    secret = not stat.S_IMODE(os.fstat(source).st_mode) & 0o004
    temporary = f".{_stem(name)}.{os.urandom(4).hex()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=parent), "wb") as copy:
        # Not to its end: the user may still write to it.
        copy.write(os.read(source, owners.LARGEST_BYTES))
        copy.flush()
        owners.apply_access(copy.fileno(), owners.BROKER_SECRET if secret else owners.CONFIGURATION)
        os.fsync(copy.fileno())
    os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    os.fsync(parent)
