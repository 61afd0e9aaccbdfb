# SPDX-License-Identifier: Apache-2.0
"""Owners and modes that other programs left, mended by root's commands, and by them only where nobody is misled."""

import os
import pwd
import stat
from contextlib import ExitStack
from pathlib import Path

from tedge_cert import journal
from tedge_cert.disk.files import Access, account_ids, apply_access

BROKER = "mosquitto"


def adapt(path: Path, access: Access, fixed: bool = False) -> None:
    """Give what is there the owner and mode of its kind, where root runs this and they differ.

    A path that a configuration names is trusted in its owner's directory only; one that is ``fixed`` everywhere, and
    it may be a directory.
    """
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
        plain = stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1
        if (plain and (fixed or owner == account_ids(access)[0])) or (fixed and stat.S_ISDIR(facts.st_mode)):
            try:
                apply_access(descriptor, access)
            except OSError as error:
                journal.warning(f"cannot give {path} its owner and mode: {error.strerror}; mount it writable")


def is_shut_to_broker(path: Path) -> bool:
    """Whether user mosquitto may not read the file; False where there is no such user or no such file."""
    try:
        account, facts = pwd.getpwnam(BROKER), path.stat()
    except (KeyError, OSError):
        return False
    if facts.st_uid == account.pw_uid:
        return not facts.st_mode & stat.S_IRUSR
    if facts.st_gid in os.getgrouplist(BROKER, account.pw_gid):
        return not facts.st_mode & stat.S_IRGRP
    return not facts.st_mode & stat.S_IROTH
