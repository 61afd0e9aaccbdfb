# SPDX-License-Identifier: Apache-2.0
"""Record which candidate verify rejected, by its digest and the run of the unit, so that cleanup removes only that one.

Cleanup keeps a candidate that an administrator put there meanwhile. It also keeps one that an administrator's own
verify rejected, in any later run of the unit.
"""

from tedge_cert import journal, systemd
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners
from tedge_cert.errors import TedgeCertError


def record(instance: Instance, content: bytes) -> None:
    """Record that a candidate of these bytes was rejected; if that fails, warn, because the verdict still holds."""
    try:
        files.write(instance.rejection_file, _mark(content), owners.HANDOVER)
    except TedgeCertError as error:
        journal.warning(f"{error}; {instance.candidate} stays, and the next run checks it again")


def forget(instance: Instance) -> None:
    """Remove the record; what cannot be removed, such as a directory in its place, is no record."""
    try:
        files.remove(instance.rejection_file)
    except TedgeCertError as error:
        journal.warning(str(error))


def is_recorded(instance: Instance, content: bytes) -> bool:
    """Return whether this run of the unit rejected these bytes; for a person, whether a person did."""
    try:
        return files.read_regular(instance.rejection_file, 200) == _mark(content)
    except OSError:
        return False


def _mark(content: bytes) -> bytes:
    # It loads OpenSSL, for which a clean-up has seldom a use.
    import hashlib

    # The same for all steps of one run.
    return f"{hashlib.sha256(content).hexdigest()} {systemd.unit_run()}".strip().encode()
