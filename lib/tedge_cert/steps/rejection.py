# SPDX-License-Identifier: Apache-2.0
"""What the verification tells the clean-up: which candidate was rejected, by its digest, and in which run of the unit.

Only those very bytes are removed: another candidate that an administrator put there meanwhile is theirs. So is one
that their own verification rejected, whatever run of the unit comes after it.
"""

import hashlib
import os

from tedge_cert import journal
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners
from tedge_cert.errors import TedgeCertError


def record(instance: Instance, content: bytes) -> None:
    """Say that a candidate of these bytes was rejected; a verdict that cannot be written down still is one."""
    try:
        files.write(instance.rejection_file, _mark(content), owners.HANDOVER)
    except TedgeCertError as error:
        journal.warning(f"{error}; {instance.candidate} stays, and the next run looks at it again")


def forget(instance: Instance) -> None:
    """Say that nothing was rejected."""
    instance.rejection_file.unlink(missing_ok=True)


def is_recorded(instance: Instance, content: bytes) -> bool:
    """Whether a candidate of these bytes was rejected in this run of the unit; for a person, by a person."""
    try:
        return files.read_regular(instance.rejection_file, 200) == _mark(content)
    except OSError:
        return False


def _mark(content: bytes) -> bytes:
    # One for each run of a unit, the same in all its steps; none where a person calls (systemd.exec(5)).
    run = os.environ.get("INVOCATION_ID", "")
    return f"{hashlib.sha256(content).hexdigest()} {run}".strip().encode()
