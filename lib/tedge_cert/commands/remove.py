# SPDX-License-Identifier: Apache-2.0
"""``tedge cert remove``: remove certificate and key of the device."""

from tedge_cert import journal
from tedge_cert.commands import fresh_start
from tedge_cert.device import profiles
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files


def remove(instance: Instance) -> bool:
    """Remove certificate, key and their state; return whether there was a certificate or a key."""
    with custody(instance):
        fresh_start.end_with_registration(instance)
        removed = [files.remove(path) for path in (instance.certificate, instance.key)]
    if removed[1]:
        _warn_of_others(instance)
    return any(removed)


def _warn_of_others(instance: Instance) -> None:
    """Warn of profiles whose certificate used the same key: all do that do not set a key of their own."""
    for each in profiles.others(instance):
        if each.key == instance.key and each.certificate.exists():
            journal.warning(
                f"{instance.key} was also the key of {each.certificate}, which cannot be used without it; "
                f"`sudo tedge cert download {each.words}` registers that profile again"
            )
