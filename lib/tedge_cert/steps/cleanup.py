# SPDX-License-Identifier: Apache-2.0
"""Step 4: remove a rejected candidate; taking the lock also removes files of killed runs."""

from tedge_cert import journal
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files
from tedge_cert.steps import rejection

# systemd ends a step of ExecStopPost= after TimeoutStopSec= (90 s), so this step does not wait long for the lock.
WAIT_S = 10.0


def holds_rejected(instance: Instance) -> bool:
    """Return whether the candidate is still the one that verify rejected in this run of the unit.

    A candidate without a verdict stays for the next run, and a candidate of an administrator stays too.
    """
    try:
        return rejection.is_recorded(instance, files.read_regular(instance.candidate))
    except OSError:
        return False


def remove_candidate(instance: Instance) -> None:
    """Remove the candidate; raises TedgeCertError."""
    files.remove(instance.candidate)
    journal.info(f"removed the rejected candidate {instance.candidate}")
