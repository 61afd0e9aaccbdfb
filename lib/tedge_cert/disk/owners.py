# SPDX-License-Identifier: Apache-2.0
"""Decide owner and mode of each kind of file, and restore them below ``/etc/tedge/device-certs``."""

import grp
import os
import pwd
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tedge_cert import journal
from tedge_cert.hourly import pem


@dataclass(frozen=True)
class Access:
    """Owner, group and mode of a kind of file."""

    user: str
    group: str
    mode: int


def access_of(facts: os.stat_result) -> Access:
    """Return owner and group of a file with a private key, and its mode without what it allows to other users."""
    try:
        user, group = pwd.getpwuid(facts.st_uid).pw_name, grp.getgrgid(facts.st_gid).gr_name
    except KeyError:
        user, group = PRIVATE_KEY.user, PRIVATE_KEY.group
    return Access(user, group, facts.st_mode & 0o660)


# Group mosquitto reads key and certificate for the bridge; the renewer, as tedge, writes the certificate.
PRIVATE_KEY = Access("tedge", "mosquitto", 0o640)
CERTIFICATE = Access("tedge", "mosquitto", 0o644)
HANDOVER = Access("tedge", "mosquitto", 0o644)
# What a password can be guessed from, or is in.
SECRET = Access("tedge", "mosquitto", 0o600)
# A user who can open a lock can hold it, so other users cannot open it.
LOCK = Access("tedge", "mosquitto", 0o640)
SHARED_DIRECTORY = Access("tedge", "mosquitto", 0o755)
DIRECTORY_OF_ROOT = Access("root", "root", 0o755)
# A user who writes the settings names the paths that root's commands use, so only root writes them.
CONFIGURATION = Access("root", "root", 0o644)
CONFIGURATION_LOCK = Access("root", "root", 0o600)
BROKER_CONFIGURATION = Access("root", "root", 0o644)
BROKER_SECRET = Access("root", "mosquitto", 0o640)

BROKER = "mosquitto"
# The configuration of mosquitto or of a mapper is smaller.
LARGEST_BYTES = 1 << 20


def restore(directory: Path, wanted: Mapping[str, Access]) -> None:
    """Give the files of these names in ``directory`` their owner and mode; only root can.

    Each file is opened beneath the directory, without following a link. A link, a file with a second name, and a file
    on another file system are left alone: through them tedge could get a file of root. A file that holds a private
    key never gets a wider mode than it has, whatever its role; the key's own file gets the mode of a key.
    """
    with opened(directory, os.O_DIRECTORY) as parent:
        if parent is None:
            return
        for name, access in wanted.items():
            with opened(name, os.O_NONBLOCK, parent) as descriptor:
                if descriptor is None or not is_plain(descriptor, parent):
                    continue
                try:
                    apply_access(descriptor, _narrowed(descriptor, access))
                except OSError as error:
                    reason = f"{error.strerror}; mount it writable"
                    journal.warning(f"cannot give {directory / name} its owner and mode: {reason}")


def _narrowed(descriptor: int, access: Access) -> Access:
    """Return ``access`` for a file that holds a private key: in no role but the key's may its mode get wider."""
    facts = os.fstat(descriptor)
    # A file that is too large to be looked at is none of ours.
    is_large = facts.st_size > LARGEST_BYTES
    if access == PRIVATE_KEY or not (is_large or pem.holds_key(os.pread(descriptor, LARGEST_BYTES, 0))):
        return access
    return replace(PRIVATE_KEY, mode=facts.st_mode & PRIVATE_KEY.mode)


def give(path: Path, access: Access) -> None:
    """Give a directory that root made its owner and mode; raises OSError."""
    with opened(path, os.O_DIRECTORY) as descriptor:
        if descriptor is not None and os.geteuid() == 0:
            apply_access(descriptor, access)


@contextmanager
def opened(name: str | Path, flags: int, parent: int | None = None) -> Iterator[int | None]:
    """Open without following a link at the end of ``name``; None where that is not possible."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=parent)
    except OSError:
        yield None  # Missing, or a link: the step that reads it reports that.
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_plain(descriptor: int, parent: int) -> bool:
    """Return whether this is a regular file with one name, on the mount of its directory."""
    facts = os.fstat(descriptor)
    return stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and _mount_of(descriptor) == _mount_of(parent)


def _mount_of(descriptor: int) -> str:
    """Return the id of the mount, which is another one where a file is bound over a name (proc(5))."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    return next(each for each in lines if each.startswith("mnt_id:"))


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


def is_roots(facts: os.stat_result) -> bool:
    """Return whether a file or directory belongs to root, and only root can write to it. The mode of a link is 0777."""
    return facts.st_uid == 0 and not facts.st_mode & 0o022


def is_only_roots(path: Path) -> bool:
    """Return whether every part of ``path`` belongs to root, and only root can write there; no part is a link."""
    try:
        return all(is_roots(each.lstat()) for each in (path, *path.parents))
    except OSError:
        return False


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


def name_of(user: int) -> str:
    """Return the name of a user by its number; the number itself where it has none."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def account_ids(access: Access) -> tuple[int, int]:
    """Return user and group number of ``access``; the caller's own if the accounts do not exist (a bare checkout)."""
    try:
        return pwd.getpwnam(access.user).pw_uid, grp.getgrnam(access.group).gr_gid
    except KeyError:
        return os.geteuid(), os.getegid()
