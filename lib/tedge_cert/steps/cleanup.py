# SPDX-License-Identifier: Apache-2.0
"""Step 4: remove the candidate that was rejected, and (whoever takes the lock does) what killed runs left."""

from tedge_cert import journal
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files
from tedge_cert.steps import rejection

# systemd ends a step of ExecStopPost= after TimeoutStopSec= (90 s), so whoever holds the lock is not waited for long.
WAIT_S = 10.0


def clean_up(instance: Instance) -> None:
    """Remove the candidate that the verification rejected, if it still is the same.

    A candidate without a verdict is kept for the next run, and an administrator's own is theirs.
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
