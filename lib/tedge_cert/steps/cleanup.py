# SPDX-License-Identifier: Apache-2.0
"""Step 4: remove a rejected candidate; taking the lock also removes files of killed runs."""

from tedge_cert import journal
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files
from tedge_cert.steps import rejection

# systemd ends a step of ExecStopPost= after TimeoutStopSec= (90 s), so this step does not wait long for the lock.
WAIT_S = 10.0


def clean_up(instance: Instance) -> None:
    """Remove the candidate that verify rejected, if it is still the same.

    A candidate without a verdict stays for the next run, and a candidate of an administrator stays too.
    """
    with custody(instance, WAIT_S):
        if _holds_rejected(instance):
            files.remove(instance.candidate)
            journal.info(f"removed the rejected candidate {instance.candidate}")
        rejection.forget(instance)


def _holds_rejected(instance: Instance) -> bool:
    try:
        return rejection.is_recorded(instance, files.read_regular(instance.candidate))
    except OSError:
        return False
