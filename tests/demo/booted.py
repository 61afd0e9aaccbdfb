# SPDX-License-Identifier: Apache-2.0
"""The story on a booted Debian: the package, its units, a mosquitto, and a tenant beside it."""

from pathlib import Path
from tempfile import TemporaryDirectory

from demo.story import heading, told, typed
from system import package
from system.device import Device
from system.devices import Devices
from system.onboarding import PASSWORD, TENANT, introduce
from system.renewer import SERVICE, TIMER
from system.trees import RELEASES
from tenant.client import Tenant

DEVICE = "demo-device"


def tell(release: str) -> None:
    """Build, boot, register, connect, check, renew."""
    heading(f"1. The package is built, and {RELEASES[release]} booted with it")
    devices = Devices(release, package.build)
    try:
        device = devices.make("installed")
        address = device.network.host
        with TemporaryDirectory() as directory, Tenant.start(Path(directory), [TENANT, address], address) as tenant:
            introduce(device, tenant, address)
            device.boot()
            _type(device, "systemctl is-system-running; dpkg-query -W tedge-cert-renewer")
            _connect(device, tenant)
            _check(device)
            _renew(device, tenant)
    finally:
        devices.end()


def _type(device: Device, command: str) -> None:
    done = device.run(f"({command}) 2>&1", check=False, timeout_s=120)
    typed("device# ", command, done.stdout)


def _connect(device: Device, tenant: Tenant) -> None:
    heading("2. The device registers with a one-time password, and connects")
    tenant.register(DEVICE, PASSWORD)
    _type(device, f"tedge config set c8y.url {TENANT}")
    for key, port in (("http", tenant.http_port), ("mqtt", tenant.mqtt_port)):
        _type(device, f"tedge config set c8y.{key} {TENANT}:{port}")
    _type(device, f"tedge cert download c8y --device-id {DEVICE} --one-time-password {PASSWORD}")
    _type(device, "tedge connect c8y")
    tenant.wait_connected(DEVICE)


def _check(device: Device) -> None:
    heading("3. The hourly check: nothing is due, the unit is skipped")
    _run_unit(device)


def _renew(device: Device, tenant: Tenant) -> None:
    heading("4. The threshold is raised, so the certificate is due: renewed, proved, switched, confirmed")
    before = str(tenant.device(DEVICE)["serial"])
    _type(device, "tedge config set certificate.validity.minimum_duration 366d")
    _run_unit(device)
    after = str(tenant.wait_connected(DEVICE, not_serial=before)["serial"])
    told(f"the tenant saw serial {int(before):x} before, and sees {int(after):x} now")
    heading("5. The timer looks again every hour")
    _type(device, f"systemctl status --no-pager {TIMER}")


def _run_unit(device: Device) -> None:
    cursor = device.cursor()
    _type(device, f"systemctl start {SERVICE}")
    lines = [entry.message for entry in device.journal(SERVICE, after=cursor)]
    typed("device# ", f"journalctl -u {SERVICE} --output=cat", "\n".join(lines))
