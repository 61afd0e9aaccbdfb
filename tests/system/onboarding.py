# SPDX-License-Identifier: Apache-2.0
"""What an operator does with a new device until it is connected."""

from typing import Any

import tomlkit

from system.device import Device
from tenant.client import Tenant

TENANT = "tenant.test"
SETTINGS = "/etc/tedge/tedge.toml"
STORE = "/etc/credstore"
STORED = f"{STORE}/tedge.one-time-password"
PASSWORD = "first-boot-password"


# What update-ca-certificates(8) adds for one certificate; that program relinks all of Debian's, which takes seconds.
_TRUST = """
cat /usr/local/share/ca-certificates/tenant.crt >> /etc/ssl/certs/ca-certificates.crt
ln -sf /usr/local/share/ca-certificates/tenant.crt /etc/ssl/certs/tenant.pem
ln -sf tenant.pem /etc/ssl/certs/$(openssl x509 -noout -hash -in /etc/ssl/certs/tenant.pem).0
"""


def introduce(device: Device, tenant: Tenant, address: str) -> None:
    """Let the device know the tenant's name and address, and trust its server certificate."""
    device.know({TENANT: address})
    device.write("/usr/local/share/ca-certificates/tenant.crt", tenant.server_ca.read_text())
    device.run(["sh", "-ec", _TRUST])


def preset(device: Device, **values: str) -> None:
    """Write settings, `__` for each dot, as `tedge config set` does, which takes as long as twenty other commands."""
    document = tomlkit.parse(device.run(f"cat {SETTINGS}", check=False).stdout)
    for name, value in values.items():
        *tables, key = name.split("__")
        place: Any = document
        for table in tables:
            place = place.setdefault(table, tomlkit.table())
        place[key] = value
    device.run(f"cat > {SETTINGS}", stdin=tomlkit.dumps(document))


def configure(device: Device, tenant: Tenant) -> None:
    """Tell the product where the tenant is."""
    http, mqtt = (f"{TENANT}:{port}" for port in (tenant.http_port, tenant.mqtt_port))
    preset(device, c8y__url=TENANT, c8y__http=http, c8y__mqtt=mqtt)


def register(device: Device, tenant: Tenant, device_id: str | None = None) -> None:
    """Get the first certificate, for the host name unless another id is given."""
    wanted = device_id or device.name
    tenant.register(wanted, PASSWORD)
    device.run(f"tedge cert download c8y --device-id {wanted} --one-time-password {PASSWORD}")


def connect(device: Device, tenant: Tenant, device_id: str | None = None) -> None:
    """Configure, register and connect; return when the tenant sees the device."""
    configure(device, tenant)
    register(device, tenant, device_id)
    device.run("tedge connect c8y", timeout_s=120)
    tenant.wait_connected(device_id or device.name)


def give(device: Device, name: str, text: str) -> None:
    """Leave a credential in the store of an image."""
    device.run(["install", "-d", "-m", "700", STORE])
    device.write(f"{STORE}/{name}", f"{text}\n", mode=0o600)
