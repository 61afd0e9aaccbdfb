# SPDX-License-Identifier: Apache-2.0
"""The key that systemd hands to a renewal beside thin-edge, where user tedge may not read its file (systemd.exec(5)).

With a bridge in mosquitto, thin-edge gives the key to user mosquitto, mode 0400.
"""

import os
from pathlib import Path

from tedge_cert import cures, journal

CREDENTIAL = "tedge.key"
# While this link is there, systemd starts no program that reads the key (tedge-cert-renewer-key@.service): such a start
# costs as much as a step. systemd looks at a link itself and does not follow it.
NOT_NEEDED = "key-is-readable"


def key_file_of(path: Path) -> Path:
    """Return the file of a key: the credential in place of a ``path`` that cannot be read, if systemd handed one over.

    "none", or nothing, stands for a key that is not there.
    """
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory and not os.access(path, os.R_OK):
        handed = Path(directory) / CREDENTIAL
        # systemd 252 names the directory to a condition too, which may not look into it.
        if os.access(handed, os.R_OK) and handed.read_bytes().strip() not in (b"", b"none"):
            return handed
    return path


def announce(path: Path, run_directory: Path) -> None:
    """Say by a link in ``run_directory`` whether the next steps of this unit read the key themselves.

    Where that cannot be said, the key is handed over as well: this costs some milliseconds.
    """
    mark = run_directory / NOT_NEEDED
    try:
        if os.access(path, os.R_OK):
            if not mark.is_symlink():
                mark.symlink_to(path)
        else:
            mark.unlink(missing_ok=True)
    except OSError as error:
        journal.warning(f"cannot say in {mark} whether this run needs the key: {error.strerror}{cures.mend(error)}")
