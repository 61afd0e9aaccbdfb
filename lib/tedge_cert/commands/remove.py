# SPDX-License-Identifier: Apache-2.0
"""`tedge cert remove`: remove certificate and key of the device."""

from tedge_cert import journal
from tedge_cert.commands import fresh_start
from tedge_cert.device import profiles
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files


def remove(instance: Instance) -> bool:
    """Remove certificate and key with all that belongs to them; whether there was one of the two."""
    with custody(instance):
        fresh_start.end_with_registration(instance)
        removed = [files.remove(path) for path in (instance.certificate, instance.key)]
    if removed[1]:
        _warn_of_others(instance)
    return any(removed)


def _warn_of_others(instance: Instance) -> None:
    """A key that nothing else sets is that of all profiles."""
    for each in profiles.others(instance):
        if each.key == instance.key and each.certificate.exists():
            journal.warning(
                f"{instance.key} was the key of {each.certificate} too, which is of no use without it; "
                f"`tedge cert download {each.words}` registers that one anew"
            )
