# SPDX-License-Identifier: Apache-2.0
"""Owners and modes that other programs left, mended by root's commands, and by them only where nobody is misled."""

import os
import stat
from contextlib import ExitStack
from pathlib import Path

from tedge_cert.files import Access, account_ids, apply_access


def adapt(path: Path, access: Access) -> None:
    """Give a file in its owner's directory the owner and mode of its kind, where root runs this and they differ."""
    if os.geteuid() != 0:
        return
    with ExitStack() as opened:
        try:
            directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, directory)
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(path.name, flags, dir_fd=directory)
            opened.callback(os.close, descriptor)
        except OSError:
            return  # Missing, or a link: whoever reads it says so.
        # A link, symbolic or hard, that user tedge planted would hand any file of root's over to it; and so would a
        # path that it configured, into a directory of others.
        facts, owner = os.fstat(descriptor), os.fstat(directory).st_uid
        if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and owner == account_ids(access)[0]:
            apply_access(descriptor, access)


def adapt_directory(path: Path, access: Access) -> None:
    """Likewise for a directory, whose path no configuration can change."""
    if os.geteuid() != 0:
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        apply_access(descriptor, access)
    finally:
        os.close(descriptor)
