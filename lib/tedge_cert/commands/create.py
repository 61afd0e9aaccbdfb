# SPDX-License-Identifier: Apache-2.0
"""``tedge cert create`` and ``create-csr``: a key with a self-signed certificate, or with a signing request."""

import os
from contextlib import ExitStack, nullcontext
from pathlib import Path

from tedge_cert.authority import self_signed
from tedge_cert.commands import fresh_start
from tedge_cert.device import registration_record as record
from tedge_cert.device import token_key
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance, device_id_for
from tedge_cert.disk import files, owners, privileges
from tedge_cert.errors import CertificateError, ConfigurationError
from tedge_cert.x509 import certificate, hardware_keys, keys, requests
from tedge_cert.x509.certificate import Certificate
from tedge_cert.x509.hardware_keys import HardwareKey


def create(instance: Instance, identity: str | None) -> Certificate:
    """Create a key and a self-signed certificate; neither overwrites a file. Raises TedgeCertError.

    A key in hardware that is there is used: `tedge hsm create-key` made it for this certificate. Previous and candidate
    of an earlier certificate are removed first.
    """
    name = _identity(instance, identity)
    with custody(instance):
        token_key.settle(instance)
        present = _in_hardware(instance)
        for path in (instance.certificate, *([] if present else [instance.key])):
            if os.path.lexists(path):
                raise _exists(instance, path)
        key = present or keys.new()
        made = self_signed.first(key, requests.first_subject(name, *_organization(instance)), instance.config)
        fresh_start.end_with_registration(instance)
        try:
            with ExitStack() as undo:
                if not isinstance(key, HardwareKey):
                    keys.create(instance.key, key)
                    # A key without a certificate would make the next attempt fail.
                    undo.callback(files.remove, instance.key)
                files.create(instance.certificate, made.pem, owners.CERTIFICATE)
                undo.pop_all()
        except FileExistsError as error:
            # Another program, which does not use the lock, created the file first.
            raise _exists(instance, Path(error.filename2)) from error
        return made


def create_request(instance: Instance, identity: str | None, output: Path | None) -> Path:
    """Write a CSR, creating the key if there is none, and return the CSR's path. Raises TedgeCertError.

    A request for a file of the caller's, with a key that is there, needs no lock: it changes nothing of the device's.
    """
    name = _identity(instance, identity)
    with nullcontext() if output and instance.key.exists() else custody(instance):
        token_key.settle(instance)
        key = keys.load_or_create(instance.key)
        request = _renewal_request(instance, key, name) or requests.first_request(key, name, *_organization(instance))
        path = (output or instance.csr).absolute()
        pem = requests.pem_of(request)
        if output and privileges.has_parent():
            privileges.ask_root("write_request", pem=pem.decode())
        else:
            files.write(path, pem, owners.CERTIFICATE)
        return path


def _in_hardware(instance: Instance) -> HardwareKey | None:
    content = hardware_keys.content_at(instance.key)
    return hardware_keys.load(instance.key, content) if hardware_keys.kind_in(content) else None


def _identity(instance: Instance, given: str | None) -> str:
    name = device_id_for(instance.config, "c8y.device.id" if instance.cloud == "c8y" else "device.id", given)
    if name is None:
        last = record.last_device_id(instance)
        again = f", such as {last}, which it was" if last else ""
        raise ConfigurationError(
            f"no device id: give one with --device-id{again}, or `sudo tedge config set device.id <id>`"
        )
    return name


def _organization(instance: Instance) -> tuple[str, str]:
    return instance.config.need("certificate.organization"), instance.config.need("certificate.organization_unit")


def _renewal_request(instance: Instance, key: keys.PrivateKey, name: str) -> bytes | None:
    """Return a CSR that repeats the names of the current certificate, if that is of this key and device."""
    try:
        current = certificate.load(instance.certificate)
    except CertificateError:
        return None
    same = current.public_key == keys.public_key(key) and current.validity.device_id == name
    return requests.renewal_request(key, current) if same else None


def _exists(instance: Instance, path: Path) -> CertificateError:
    words = f" {instance.words}" if instance.cloud else ""
    return CertificateError(
        f"{path} exists already and is not overwritten; `sudo tedge cert remove{words}` removes certificate and key, "
        "and then the device cannot connect any more"
    )
