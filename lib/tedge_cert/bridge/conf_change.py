# SPDX-License-Identifier: Apache-2.0
"""Note that mosquitto's configuration changes, from before the first file until the restart that uses it.

A command that is killed in between leaves a broker that does not know what its files say. The note lets the next
command see that. It is kept in /run, because after a boot the broker has read its files.
"""

from tedge_cert.device.mosquitto import MosquittoFiles
from tedge_cert.disk import files, owners


def is_unfinished(of: MosquittoFiles) -> bool:
    """Return whether the broker may still run with another configuration than its files say."""
    return of.manages_services and of.restart.exists()


def begin(of: MosquittoFiles) -> None:
    """Note that the files are about to change; raises TedgeCertError."""
    if of.manages_services:
        files.write(of.restart, b"", owners.HANDOVER)


def end(of: MosquittoFiles) -> None:
    """Remove the note: the broker was restarted."""
    files.remove(of.restart)
