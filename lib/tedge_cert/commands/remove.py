# SPDX-License-Identifier: Apache-2.0
"""``tedge cert remove``: remove certificate and key of the device."""

import sys

from tedge_cert import journal, terminal
from tedge_cert.commands import fresh_start
from tedge_cert.device import profiles
from tedge_cert.device import registration_record as record
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files
from tedge_cert.errors import CertificateError, TedgeCertError
from tedge_cert.x509 import certificate


def confirm(instance: Instance) -> None:
    """Say on a terminal what will be lost, and ask; raises TedgeCertError unless the answer is yes.

    A script is not asked. The question comes before the lock, so that nothing waits for a person.
    """
    is_asked = sys.stdin.isatty() and sys.stderr.isatty()
    if not is_asked or not (instance.certificate.exists() or instance.key.exists()):
        return
    name = _device_id(instance) or "The device"
    terminal.tell(
        f"This removes {instance.certificate} and the private key {instance.key}.\n"
        f"{name} cannot connect any more until it is registered again with a new one-time password.\n"
    )
    if not terminal.agrees("Remove both?"):
        raise TedgeCertError("nothing was removed")


def remove(instance: Instance) -> bool:
    """Remove certificate, key and their state, and keep the device id; return whether there was one of both."""
    paths = (instance.certificate, instance.key)
    with custody(instance, checked=False):
        if device_id := _device_id(instance):
            record.keep_device_id(instance, device_id)
        fresh_start.end_with_registration(instance)
        removed = [files.remove(path) for path in paths]
    if removed[1]:
        _warn_of_others(instance)
    return any(removed)


def _device_id(instance: Instance) -> str:
    """Return the name that the certificate has; empty if there is none that can be read."""
    try:
        return certificate.load(instance.certificate).validity.common_name
    except CertificateError:
        return ""


def _warn_of_others(instance: Instance) -> None:
    """Warn of profiles whose certificate used the same key: all do that do not set a key of their own."""
    for each in profiles.others(instance):
        if each.key == instance.key and each.certificate.exists():
            journal.warning(
                f"{instance.key} was also the key of {each.certificate}, which cannot be used without it; "
                f"`sudo tedge cert download {each.words}` registers that profile again"
            )
