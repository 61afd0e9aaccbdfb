# SPDX-License-Identifier: Apache-2.0
"""Owners and modes that other programs left, mended by root's commands, and by them only where nobody is misled."""

import grp
import os
import pwd
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tedge_cert import journal


@dataclass(frozen=True)
class Access:
    """Owner, group and mode of a kind of file."""

    user: str
    group: str
    mode: int


# Mosquitto's group reads key and certificate for the bridge; the renewer, as tedge, writes the certificate.
PRIVATE_KEY = Access("tedge", "mosquitto", 0o640)
CERTIFICATE = Access("tedge", "mosquitto", 0o644)
HANDOVER = Access("tedge", "mosquitto", 0o644)
# Whoever can open a lock can hold it up, so it is not for everybody.
LOCK = Access("tedge", "mosquitto", 0o640)
SHARED_DIRECTORY = Access("tedge", "mosquitto", 0o755)
DIRECTORY_OF_ROOT = Access("root", "root", 0o755)
CONFIGURATION = Access("tedge", "tedge", 0o644)
BROKER_CONFIGURATION = Access("root", "root", 0o644)
BROKER_SECRET = Access("root", "mosquitto", 0o640)

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


def apply_access(descriptor: int, access: Access) -> None:
    """Give an open file its owner and mode, as far as this process may.

    Only root can change an owner, and only root's commands ever have one to change: the renewer runs as the very
    user and group of these files, and a chown would end it (systemd's @privileged set contains @chown).
    """
    if os.geteuid() == 0:
        before = os.fstat(descriptor)
        user, group = account_ids(access)
        if (before.st_uid, before.st_gid) != (user, group):
            os.fchown(descriptor, user, group)
    os.fchmod(descriptor, access.mode)


def account_ids(access: Access) -> tuple[int, int]:
    """User and group number of ``access``; the caller's own where the accounts do not exist (a bare checkout)."""
    try:
        return pwd.getpwnam(access.user).pw_uid, grp.getgrnam(access.group).gr_gid
    except KeyError:
        return os.geteuid(), os.getegid()
