# SPDX-License-Identifier: Apache-2.0
"""Look whether a directory has room for the files of a renewal."""

import os
from dataclasses import dataclass
from pathlib import Path

# A renewal writes a few files of some kilobytes each.
LEAST_BYTES = 1 << 20


@dataclass(frozen=True)
class Space:
    """What is free in a directory; ``fault`` says why it is not enough, ``cure`` is what shows more."""

    free_bytes: int
    fault: str = ""
    cure: str = ""


def space_in(directory: Path) -> Space:
    """Return what is free for this user in the file system of ``directory``; raises OSError."""
    found = os.statvfs(directory)
    free_bytes = found.f_bavail * found.f_frsize
    if found.f_flag & os.ST_RDONLY:
        return Space(free_bytes, f"{directory} is on a read-only file system", f"findmnt -T {directory}")
    # A file system without a count of files, such as btrfs, has no limit of them.
    if free_bytes < LEAST_BYTES or (found.f_files and not found.f_favail):
        fault = f"{directory} has {free_bytes >> 10} KiB and {found.f_favail} files free: too little for a renewal"
        return Space(free_bytes, fault, f"df -h {directory}")
    return Space(free_bytes)
