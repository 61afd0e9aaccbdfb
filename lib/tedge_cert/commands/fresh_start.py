# SPDX-License-Identifier: Apache-2.0
"""What a certificate that was had for a fresh start makes void: all that was left for, or said of, the one before.

Not what still holds: that a one-time password is spent, and that an alarm was raised at the tenant, which the next news
of this device clears. What the hourly check left is void by itself, because the certificate is another file.
"""

from tedge_cert import journal
from tedge_cert.device import registration_record as record
from tedge_cert.device import state
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files
from tedge_cert.errors import TedgeCertError
from tedge_cert.steps import rejection


def end(instance: Instance) -> None:
    """Remove it, before the new certificate comes; to be called under the lock. Raises TedgeCertError."""
    # Previous first: while it exists, whoever comes next takes the switch for unfinished and wants to put it back.
    files.remove(instance.previous)
    files.remove(instance.candidate)
    state.forget(instance.state_file)
    for forget in (rejection.forget, record.end_attempts, record.end_unjudged, record.tidy):
        try:
            forget(instance)
        except (OSError, TedgeCertError) as error:
            # No reason to do without the new certificate.
            journal.warning(f"what was said of a former certificate stays: {error}")


def end_with_registration(instance: Instance) -> None:
    """Remove the state of the previous certificate, and forget a registration that has begun."""
    end(instance)
    # The first-boot unit would otherwise go on with it at the next boot, with whatever certificate there is then.
    record.end_unfinished(instance)
