# SPDX-License-Identifier: Apache-2.0
"""Remove the state of the previous certificate when a device gets its first certificate again.

Two things stay: the record that a one-time password is spent, and that an alarm was raised at the tenant, which the
next report of this device clears. The memo of the hourly check is void by itself: the certificate is another file.
"""

from tedge_cert import journal
from tedge_cert.device import registration_record as record
from tedge_cert.device import rotation
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files
from tedge_cert.errors import TedgeCertError
from tedge_cert.steps import rejection


def end(instance: Instance) -> None:
    """Remove the state before the new certificate is written; call it under the lock. Raises TedgeCertError."""
    # Previous goes first: while it exists, the next run takes the switch for unfinished and would put it back.
    files.remove(instance.previous)
    rotation.remove_former(instance)
    files.remove(instance.candidate)
    files.remove(instance.candidate_key)
    rotation.remove_spare(instance)
    files.remove(instance.waiting_file)
    for forget in (_forget_attempts, rejection.forget, record.end_attempts, record.end_password, record.tidy):
        try:
            forget(instance)
        except (OSError, TedgeCertError) as error:
            # The device needs the new certificate all the same.
            journal.warning(f"state of the previous certificate stays: {error}")


def _forget_attempts(instance: Instance) -> None:
    files.remove(instance.state_file)


def end_with_registration(instance: Instance) -> None:
    """Remove the state of the previous certificate, and forget a registration that began."""
    end(instance)
    # Otherwise the first-boot unit would go on with it at the next boot, with the certificate that is there then.
    record.end_unfinished(instance)
