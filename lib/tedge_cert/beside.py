# SPDX-License-Identifier: Apache-2.0
"""Know whether this package only renews the certificate of a device that thin-edge connects.

The package tedge-cert-renewer-beside says so by a file of root. The settings, the files of the device and the command
`tedge` are thin-edge's there. The hourly check uses this module, so it imports next to nothing.
"""

import os

MARK = "/usr/share/tedge-cert-renewer/beside"
DIRECTORY = "/etc/tedge"
# Executables that thin-edge has under no such name, or that do something else there.
_OURS = ("cert status", "cert verify", "cert renew", "cert show", "cert needs-renewal", "cert cleanup")


def is_beside() -> bool:
    """Return whether thin-edge connects the device."""
    return os.path.exists(MARK)  # noqa: PTH110 (pathlib is not imported in the hourly path)


def user() -> str:
    """Return the user of thin-edge: the owner of its settings, which only root can have chosen.

    What system.toml says is not believed, because that user writes it.
    """
    import pwd

    try:
        owner = os.lstat(DIRECTORY).st_uid
        return pwd.getpwuid(owner).pw_name if owner else "tedge"
    except (OSError, KeyError):
        return "tedge"


def typed(command: str) -> str:
    """Return a command `tedge …` as it is typed on this device: beside thin-edge, ours have names of their own."""
    if command.startswith("sudo "):
        return f"sudo {typed(command[5:])}"
    if command.startswith("tedge ") and is_beside():
        for each in _OURS:
            if f"{command} ".startswith(f"tedge {each} "):
                return command.replace(" ", "-", 1 + each.count(" "))
    return command


def packages() -> str:
    """Return the packages that hold the units."""
    return "tedge-cert-renewer-beside tedge-mapper" if is_beside() else "tedge-cert-renewer"
