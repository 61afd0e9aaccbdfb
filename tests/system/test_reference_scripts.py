# SPDX-License-Identifier: Apache-2.0
"""The scripts that thin-edge's certificate reference ends with, as people have them on their devices."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from system.device import Device
from system.devices import Devices
from system.onboarding import TENANT, configure, introduce, register
from system.renewer import CANDIDATE, CERTIFICATE, PREVIOUS, enrolments, make_due, serial
from tenant.client import Tenant

SCRIPT = "/usr/local/bin/renew-device-certificate"
BY_CA = """#!/bin/sh
if tedge cert needs-renewal
then
    sudo tedge cert renew
    sudo tedge reconnect c8y
fi
echo "the script is done"
"""
MICROSERVICE = "my_custom_microservice"
BY_MICROSERVICE = f"""#!/bin/sh
if tedge cert needs-renewal
then
    tedge cert create-csr --output-path /tmp/device.csr
    NEW_CERTIFICATE="$(tedge config get device.cert_path).new"
    sudo tedge http api post '/c8y/service/{MICROSERVICE}/renew' --file "/tmp/device.csr" | sudo tee "$NEW_CERTIFICATE"
    sudo tedge reconnect c8y
    sudo rm -f "$NEW_CERTIFICATE"
fi
"""
BROKER = "install -d -o mosquitto -g mosquitto /run/mosquitto; mosquitto -d -c /etc/mosquitto/mosquitto.conf"


@pytest.fixture
def without_systemd(devices: Devices, tmp_path: Path) -> Iterator[tuple[Device, Tenant]]:
    """Return a device that has cron in systemd's place and no file of systemd's, with its tenant."""
    device = devices.make("installed", init=["cron", "-f"])
    address = device.network.host
    with Tenant.start(tmp_path / "tenant", [TENANT, address], address) as tenant:
        introduce(device, tenant, address)
        device.run("dpkg --purge --force-depends --force-remove-protected systemd-sysv systemd")
        device.boot()
        yield device, tenant


def test_cron_renews_where_there_is_no_systemd(without_systemd: tuple[Device, Tenant]) -> None:
    device, tenant = without_systemd
    assert device.run("command -v systemctl || test -e /run/systemd/system", check=False).exit_code == 1
    configure(device, tenant)
    register(device, tenant)
    assert "start mosquitto yourself" in device.run("tedge connect c8y").stderr
    device.run(BROKER)
    old = str(tenant.wait_connected(device.name)["serial"])
    device.run("useradd --create-home technician")
    device.write("/etc/sudoers.d/technician", "technician ALL=(root) NOPASSWD: /usr/bin/tedge\n", mode=0o440)
    device.write(SCRIPT, BY_CA, mode=0o755)
    make_due(device)
    log = "/home/technician/renewal.log"
    device.write("/etc/cron.d/renew-device-certificate", f"* * * * * technician {SCRIPT} >>{log} 2>&1\n")
    device.start(["tail", "--lines=+1", "-F", log]).expect("the script is done", 130)

    said = device.read(log)
    assert "Certificate renewed successfully" in said, said
    assert f"The new certificate is now the active certificate {CERTIFICATE}" in said, said
    tenant.wait_connected(device.name, not_serial=old)
    assert enrolments(tenant) >= 1
    assert not device.exists(PREVIOUS)


def test_a_microservice_of_the_tenant_renews(connected: Device, tenant: Tenant) -> None:
    tenant.settings(microservice=MICROSERVICE)
    old = serial(tenant, connected)
    connected.write(SCRIPT, BY_MICROSERVICE, mode=0o755)
    assert "BEGIN" not in connected.run(SCRIPT, check=False).stdout
    make_due(connected)
    done = connected.run(SCRIPT, timeout_s=180)
    assert done.stdout.startswith("-----BEGIN CERTIFICATE-----\n"), done.stderr
    tenant.wait_connected(connected.name, not_serial=old)
    assert connected.read(CERTIFICATE) == done.stdout
    assert not connected.exists(CANDIDATE)
    assert enrolments(tenant) == 0


def test_a_microservice_that_is_not_there(connected: Device, tenant: Tenant) -> None:
    before = connected.read(CERTIFICATE)
    connected.write(SCRIPT, BY_MICROSERVICE, mode=0o755)
    make_due(connected)
    done = connected.run(SCRIPT, timeout_s=180)
    assert done.stdout == ""
    assert "404" in done.stderr
    assert connected.read(CERTIFICATE) == before
    assert not connected.exists(CANDIDATE)
    assert tenant.wait_connected(connected.name)
