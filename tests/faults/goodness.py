# SPDX-License-Identifier: Apache-2.0
"""Check that a device is in a good state after a fault and the next run of the timer."""

import subprocess

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_private_key

from faults.record import LostDeviceError
from tedge_cert.disk.lock import locked
from tedge_cert.errors import TedgeCertError
from tedge_cert.tenant.proof import prove
from tedge_cert.x509 import hardware_keys
from unit import hardware
from unit.connected import instance_of, key_file, serial_of, tenant_of
from unit.local_device import LocalDevice

# A bridge that only now hears of its end comes back after its longest pause (restart_timeout 1 30).
RETURN_S = 45
LASTING = {"key.pem", "cert.pem", "device.csr"}


def flaw(device: LocalDevice) -> str:
    """What is wrong with the device; empty if all is well."""
    on_disk = (flaw_of_pair(device), _leftovers(device), flaw_of_lock(device))
    return "; ".join(filter(None, on_disk)) or _connection(device)


def expect_good(device: LocalDevice, context: object) -> None:
    """Raise LostDeviceError, with what led there, unless the device is well."""
    found = flaw(device)
    if found:
        raise LostDeviceError(f"{found}\n{context}")


def flaw_of_pair(device: LocalDevice) -> str:
    """Why key and certificate are no pair; empty if they are."""
    try:
        certificate = x509.load_pem_x509_certificate(device.certificate.read_bytes())
        public = _public_key(device)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"no pair: {error}"
    return "" if certificate.public_key() == public else "key and certificate are no pair"


def _public_key(device: LocalDevice) -> object:
    content = key_file(device).read_bytes()
    if hardware_keys.kind_in(content):
        return load_der_public_key(hardware.openssl(f"pkey -in {key_file(device)} -pubout -outform DER", {}))
    return load_pem_private_key(content, None).public_key()


def flaw_of_token(device: LocalDevice) -> str:
    """Return which keys are in the token beside the one that the key file names; empty if there is only that one."""
    named = hardware_keys.attributes_in(key_file(device).read_bytes()) or {}
    found = hardware.private_keys()
    return "" if found == [(named["object"], named["id"])] else f"{found} are in the token, and {named} is in use"


def _leftovers(device: LocalDevice) -> str:
    beside = {each.name for each in device.certificate.parent.iterdir()} - LASTING
    run = {each.name for each in instance_of(device).run_directory.iterdir() if each.suffix in (".tmp", ".rejected")}
    return f"left behind: {sorted(beside | run)}" if beside | run else ""


def flaw_of_lock(device: LocalDevice) -> str:
    """Return who holds the lock; empty if it is free."""
    try:
        with locked(device.certificate, instance_of(device).run_directory, 0.0):
            return ""
    except TedgeCertError as error:
        return f"a lock that was not released: {error}"


def _connection(device: LocalDevice) -> str:
    if not instance_of(device).bridge_file.exists():
        verdict = prove(tenant_of(device), device.certificate)
        return "" if verdict.accepted else f"the tenant does not take the certificate: {verdict.reason}"
    serial = serial_of(device.certificate)
    try:
        device.tenant.wait_connected(device.device_id, serial=serial, timeout_s=RETURN_S)
    except Exception as error:  # noqa: BLE001 (whatever it is, the bridge is not up with this certificate)
        return f"the bridge is not connected with {serial}: {error}"
    return ""
