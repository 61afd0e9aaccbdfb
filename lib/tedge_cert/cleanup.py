# SPDX-License-Identifier: Apache-2.0
"""Step 4: remove the candidate that was rejected, and what killed runs left; nothing else."""

import hashlib

from tedge_cert import files, journal
from tedge_cert.instance import Instance
from tedge_cert.lock import locked


def clean_up(instance: Instance) -> None:
    """Remove the candidate whose digest the verification recorded, if it still holds those bytes.

    A candidate without a verdict is kept for the next run, and an administrator's own is theirs.
    """
    with locked(instance.certificate, instance.run_directory):
        for path in (instance.certificate, instance.key, instance.csr):
            stale = files.remove_stale_temporaries(path)
            if stale:
                journal.info(f"removed {stale} temporary file(s) of an interrupted run beside {path}")
        record = instance.rejection_file
        try:
            rejected = files.read_regular(record, 100).decode("ascii", "replace")
            found = hashlib.sha256(files.read_regular(instance.candidate)).hexdigest()
        except OSError:
            record.unlink(missing_ok=True)
            return
        if found == rejected:
            files.remove(instance.candidate)
            journal.info(f"removed the rejected candidate {instance.candidate}")
        record.unlink(missing_ok=True)
