# SPDX-License-Identifier: Apache-2.0
"""What the verification tells the clean-up: which candidate was rejected, by its digest.

Only those very bytes are removed: another candidate that an administrator put there meanwhile is theirs.
"""

import hashlib

from tedge_cert import files, journal
from tedge_cert.errors import TedgeCertError
from tedge_cert.instance import Instance


def record(instance: Instance, content: bytes) -> None:
    """Say that a candidate of these bytes was rejected; a verdict that cannot be written down still is one."""
    try:
        files.write(instance.rejection_file, _digest(content), files.HANDOVER)
    except TedgeCertError as error:
        journal.warning(f"{error}; {instance.candidate} stays, and the next run looks at it again")


def forget(instance: Instance) -> None:
    """Say that nothing was rejected."""
    instance.rejection_file.unlink(missing_ok=True)


def is_recorded(instance: Instance, content: bytes) -> bool:
    """Whether a candidate of these bytes was rejected."""
    try:
        return files.read_regular(instance.rejection_file, 200) == _digest(content)
    except OSError:
        return False


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
