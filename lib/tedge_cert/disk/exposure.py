# SPDX-License-Identifier: Apache-2.0
"""Whether everybody on the device can get at the private key."""

import os

from tedge_cert import journal
from tedge_cert.errors import MEND


def is_exposed(key: str) -> bool:
    """Whether the mode of the file lets others at it, which is said in a line."""
    try:
        mode = os.stat(key).st_mode & 0o7777  # noqa: PTH116 (pathlib is not imported in the hourly path)
    except OSError:
        return False  # Whoever reads it says so.
    if mode & 0o007:
        journal.warning(
            f"everybody on this device can get at the private key {key} (mode {mode:04o}), expected 0640; {MEND}"
        )
    return bool(mode & 0o007)
