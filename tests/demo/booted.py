# SPDX-License-Identifier: Apache-2.0
"""The story on a booted Debian: the package, its units, a mosquitto, and a tenant beside it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from demo.story import LONG_S, SHORT_S, heading, told, typed
from system import onboarding, package
from system.device import Device
from system.devices import Devices
from system.onboarding import PASSWORD, TENANT, introduce
from system.renewer import SERVICE
from system.trees import RELEASES
from tenant.client import Tenant

DEVICE = "demo-device"


@contextmanager
def beside_a_tenant(release: str) -> Iterator[tuple[Device, Tenant]]:
    """A booted device that has the package and knows the tenant; both end with the block."""
    devices = Devices(release, package.build)
    try:
        device = devices.make("installed")
        address = device.network.host
        with TemporaryDirectory() as directory, Tenant.start(Path(directory), [TENANT, address], address) as tenant:
            introduce(device, tenant, address)
            device.boot()
            yield device, tenant
    finally:
        devices.end()


def tell(release: str) -> None:
    """Build, boot, register, connect, check, renew."""
    heading(f"1. The package is built, and {RELEASES[release].replace('debian', 'Debian ')} booted with it")
    with beside_a_tenant(release) as (device, tenant):
        _type(device, "systemctl is-system-running; dpkg-query -W tedge-cert-renewer")
        _connect(device, tenant)
        _check(device)
        _renew(device, tenant)
        heading("5. What an operator looks at")
        _type(device, "tedge cert status")
        _type(device, "systemctl list-timers --no-pager 'tedge-cert-renewer*'")


def shell(release: str) -> None:
    """Boot and connect a device, and give the person at the keyboard a root shell in it; its end ends the device."""
    with beside_a_tenant(release) as (device, tenant):
        onboarding.connect(device, tenant, DEVICE)
        told(f"{DEVICE} is connected to {TENANT}. A root shell in it follows; `exit` removes the device.")
        clean = ["env", "-i", "HOME=/root", "LANG=C.UTF-8", f"TERM={os.environ.get('TERM', 'dumb')}", "bash", "-l"]
        subprocess.run(device.container.enter(clean), check=False)


def _type(device: Device, command: str) -> None:
    done = device.run(f"({command}) 2>&1", check=False, timeout_s=120)
    typed("device# ", command, done.stdout)


def _connect(device: Device, tenant: Tenant) -> None:
    heading("2. The device registers with a one-time password for a certificate of 60 days, and connects")
    tenant.settings(lifetime_s=SHORT_S)
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
    heading("4. With a threshold of 90 days the certificate is due: renewed, proved, switched, confirmed")
    tenant.settings(lifetime_s=LONG_S)
    before = str(tenant.device(DEVICE)["serial"])
    _type(device, "tedge config set certificate.validity.minimum_duration 90d")
    _run_unit(device)
    after = str(tenant.wait_connected(DEVICE, not_serial=before)["serial"])
    told(f"the tenant saw serial {int(before):x} before, and sees {int(after):x} now")


def _run_unit(device: Device) -> None:
    cursor = device.cursor()
    _type(device, f"systemctl start {SERVICE}")
    lines = [entry.message for entry in device.journal(SERVICE, after=cursor)]
    typed("device# ", f"journalctl -u {SERVICE} --output=cat", "\n".join(lines))
