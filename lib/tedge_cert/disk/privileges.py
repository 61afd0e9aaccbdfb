# SPDX-License-Identifier: Apache-2.0
"""Drop root's rights where paths come from a configuration that user tedge may write.

Otherwise a user who names the path of the certificate could make root's commands overwrite, give away or remove any
file of the system: by a path, by a symbolic link, or by renaming a directory at the right moment.
"""

import grp
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

USER, GROUP = "tedge", "mosquitto"


def missing_accounts() -> list[str]:
    """List those of user tedge and group mosquitto that do not exist, as ``user tedge``."""
    missing = []
    for kind, known, name in (("user", pwd.getpwnam, USER), ("group", grp.getgrnam, GROUP)):
        try:
            known(name)
        except KeyError:
            missing.append(f"{kind} {name}")
    return missing


@contextmanager
def dropped(wanted: bool = True) -> Iterator[None]:
    """Act as the owner of key and certificates, if root runs this and it is ``wanted``."""
    try:
        if not wanted or os.geteuid() != 0:
            raise KeyError
        user, group = pwd.getpwnam(USER).pw_uid, grp.getgrnam(GROUP).gr_gid
    except KeyError:
        # Not root, or a bare checkout without these accounts.
        yield
        return
    before, groups = os.getegid(), os.getgroups()
    os.setgroups([group])
    os.setegid(group)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(before)
        os.setgroups(groups)


@contextmanager
def regained() -> Iterator[None]:
    """Act as the caller again, for a file that the caller named, such as root's own request."""
    user, group = os.geteuid(), os.getegid()
    if os.getuid() != 0 or user == 0:
        yield
        return
    os.seteuid(0)
    os.setegid(0)
    try:
        yield
    finally:
        os.setegid(group)
        os.seteuid(user)
