# SPDX-License-Identifier: Apache-2.0
"""Hold the lock of a certificate for one command, and remove what killed commands left."""

from collections.abc import Iterator
from contextlib import contextmanager

from tedge_cert import cures, journal
from tedge_cert.device.instance import Instance, check_files
from tedge_cert.disk import files
from tedge_cert.disk.lock import WAIT_S, locked
from tedge_cert.durations import counted


@contextmanager
def custody(instance: Instance, wait_s: float = WAIT_S, checked: bool = True) -> Iterator[None]:
    """Hold the lock of the instance's certificate; raises TedgeCertError.

    Temporary files that killed runs left beside the certificate are removed first. A command that writes no
    certificate may leave out the check of the files (``checked``).
    """
    if checked:
        check_files(instance)
    with locked(instance.certificate, instance.run_directory, wait_s):
        remove_leftovers(instance)
        yield


def remove_leftovers(instance: Instance) -> None:
    """Remove the temporary files beside everything that is written under the lock; the caller holds the lock.

    A killed run may have left a private key in one. A file that cannot be removed stops nothing.
    """
    switched = (instance.certificate, instance.candidate, instance.previous)
    handed_over = (instance.rejection_file, instance.access_token_file, instance.state_file, instance.mapper_file)
    for path in (*switched, instance.key_file, instance.csr, *handed_over):
        try:
            stale = files.remove_stale_temporaries(path)
        except OSError as error:
            journal.warning(
                f"what interrupted runs left beside {path} stays there: {error.filename}: {error.strerror}"
                f"{cures.mend(error)}"
            )
            return
        if stale:
            journal.info(f"removed {counted(stale, 'temporary file')} of an interrupted run beside {path}")
