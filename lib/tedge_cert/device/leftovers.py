# SPDX-License-Identifier: Apache-2.0
"""What runs that were killed left: their temporary files."""

from tedge_cert import journal
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files
from tedge_cert.errors import mend


def remove(instance: Instance) -> None:
    """Remove the temporary files beside everything that is written under the lock, which the caller holds.

    A killed run may have left a private key in one. What cannot be removed holds nobody up.
    """
    switched = (instance.certificate, instance.candidate, instance.previous)
    handed_over = (instance.rejection_file, instance.access_token_file, instance.state_file)
    for path in (*switched, instance.key, instance.csr, *handed_over):
        try:
            stale = files.remove_stale_temporaries(path)
        except OSError as error:
            journal.warning(
                f"what interrupted runs left beside {path} stays there: {error.filename}: {error.strerror}{mend(error)}"
            )
            return
        if stale:
            journal.info(f"removed {stale} temporary file(s) of an interrupted run beside {path}")
