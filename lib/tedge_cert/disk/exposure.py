# SPDX-License-Identifier: Apache-2.0
"""Warn when every user of the device can read or change the private key."""

import os

from tedge_cert import cures, journal


def is_exposed(key: str) -> bool:
    """Return whether the mode of the file admits other users, and warn if it does."""
    try:
        mode = os.stat(key).st_mode & 0o7777  # noqa: PTH116 (pathlib is not imported in the hourly path)
    except OSError:
        return False  # The step that reads the key reports it.
    if mode & 0o007:
        journal.warning(
            f"every user of this device can access the private key {key} (mode {mode:04o}), expected 0640; "
            f"{cures.owners()}"
        )
    return bool(mode & 0o007)
