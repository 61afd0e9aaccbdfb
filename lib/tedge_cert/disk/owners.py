# SPDX-License-Identifier: Apache-2.0
"""Decide owner and mode of each kind of file, and restore them in root's commands where that is safe."""

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


# Group mosquitto reads key and certificate for the bridge; the renewer, as tedge, writes the certificate.
PRIVATE_KEY = Access("tedge", "mosquitto", 0o640)
CERTIFICATE = Access("tedge", "mosquitto", 0o644)
HANDOVER = Access("tedge", "mosquitto", 0o644)
# A user who can open a lock can hold it, so other users cannot open it.
LOCK = Access("tedge", "mosquitto", 0o640)
SHARED_DIRECTORY = Access("tedge", "mosquitto", 0o755)
DIRECTORY_OF_ROOT = Access("root", "root", 0o755)
CONFIGURATION = Access("tedge", "tedge", 0o644)
BROKER_CONFIGURATION = Access("root", "root", 0o644)
BROKER_SECRET = Access("root", "mosquitto", 0o640)

BROKER = "mosquitto"


def adapt(path: Path, access: Access, fixed: bool = False) -> None:
    """Give an existing file the owner and mode of its kind, if root runs this and they differ.

    A path from the configuration is trusted only in a directory of the owner. A ``fixed`` path is always trusted, and
    may be a directory.
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
            return  # Missing, or a link: the step that reads it reports that.
        # Through a link, symbolic or hard, user tedge could get any file of root; also through a configured path into
        # a directory of another user.
        facts, owner = os.fstat(descriptor), os.fstat(directory).st_uid
        plain = stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1
        if (plain and (fixed or owner == account_ids(access)[0])) or (fixed and stat.S_ISDIR(facts.st_mode)):
            try:
                apply_access(descriptor, access)
            except OSError as error:
                journal.warning(f"cannot give {path} its owner and mode: {error.strerror}; mount it writable")


def is_shut_to_broker(path: Path) -> bool:
    """Return whether user mosquitto cannot read the file; False if there is no such user or file."""
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

    Only root can change an owner, and only root's commands need to: the renewer runs as the user and group of these
    files, and systemd's filter would return an error for a chown (@privileged contains @chown).
    """
    if os.geteuid() == 0:
        before = os.fstat(descriptor)
        user, group = account_ids(access)
        if (before.st_uid, before.st_gid) != (user, group):
            os.fchown(descriptor, user, group)
    os.fchmod(descriptor, access.mode)


def account_ids(access: Access) -> tuple[int, int]:
    """Return user and group number of ``access``; the caller's own if the accounts do not exist (a bare checkout)."""
    try:
        return pwd.getpwnam(access.user).pw_uid, grp.getgrnam(access.group).gr_gid
    except KeyError:
        return os.geteuid(), os.getegid()
