# SPDX-License-Identifier: Apache-2.0
"""Root's part: give the files of an instance below ``/etc/tedge/device-certs``, and its lock, back to tedge."""

from pathlib import Path

from tedge_cert.device.instance import Instance
from tedge_cert.disk import lock, owners, privileges


def restore(instance: Instance) -> None:
    """Restore owners and modes of the files that the settings name in that directory, and of the certificate's lock.

    Raises ConfigurationError for a key in hardware.
    """
    kinds = (
        (instance.key, owners.PRIVATE_KEY),
        (instance.certificate, owners.CERTIFICATE),
        (instance.candidate, owners.CERTIFICATE),
        (instance.previous, owners.CERTIFICATE),
        (instance.csr, owners.CERTIFICATE),
    )
    directory = Path(instance.config.directory) / "device-certs"
    owners.restore(directory, {path.name: access for path, access in kinds if path.parent == directory})
    if instance.config.is_of_system:
        # A lock is never removed, so one of root would stop the renewal for good. Its name is that of the certificate:
        # user tedge chooses the others there.
        owners.restore(Path(privileges.RUN_DIRECTORY), {lock.name_for(instance.certificate): owners.LOCK})
