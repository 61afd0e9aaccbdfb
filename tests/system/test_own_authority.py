# SPDX-License-Identifier: Apache-2.0
"""A device whose certificates come from an authority that speaks EST, libest's, and a tenant that trusts its root."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from system.device import Device
from system.onboarding import TENANT, configure, introduce
from system.renewer import CERTIFICATE, KEY, SERVICE, enrolments, make_due, said, serial, start
from tenant.client import Tenant
from unit import libest
from unit.libest import LibEst

HOST = "est.test"
ROOT = "/etc/tedge/est-root.pem"
REGISTRATION = "tedge-cert-download@c8y.service"
FACTORY, FACTORY_KEY = "/etc/tedge/factory.pem", "/etc/tedge/factory-key.pem"
UPLOAD = "C8Y_USER=admin C8Y_PASSWORD=secret tedge cert upload c8y --authority"

StartAuthority = Callable[[str], LibEst]


@pytest.fixture
def start_authority(tmp_path: Path) -> Iterator[StartAuthority]:
    """Start the server with an option: which of password and certificate it takes."""
    program = libest.command()
    if program is None:
        pytest.skip("estserver could not be fetched from Debian's archive")
    with ExitStack() as running:
        yield lambda option: running.enter_context(LibEst(program, tmp_path / "est", option, host=HOST))


@pytest.fixture
def image(_off: Device, tenant: Tenant) -> Device:
    """A device that was never on; it knows and trusts the tenant."""
    introduce(_off, tenant, _off.network.host)
    return _off


def name_authority(device: Device, authority: LibEst) -> None:
    """Let the device reach the authority; the settings are typed as the manual has them."""
    device.know({TENANT: device.network.host, HOST: device.network.host})
    device.write(ROOT, authority.trust.read_text())
    device.run(f"tedge config set est.url {HOST}:{authority.port}")
    device.run(f"tedge config set est.root_cert_path {ROOT}")


def drop_in(device: Device, unit: str, environment: str) -> None:
    device.write(f"/etc/systemd/system/{unit}.d/authority.conf", f"[Service]\nEnvironment={environment}\n")


def upload(tenant: Tenant, authority: LibEst) -> None:
    """Let the tenant trust the root of the authority, as an operator does before the devices come."""
    answer = requests.post(
        f"https://{tenant.address}:{tenant.http_port}/tenant/tenants/t1/trusted-certificates",
        json={"certInPemFormat": authority.authority.pem.decode(), "autoRegistrationEnabled": True},
        auth=("t1/admin", "secret"),
        verify=str(tenant.server_ca),
        timeout=30,
    )
    assert answer.status_code == 201, answer.text


def expect_renewal_there(device: Device, tenant: Tenant) -> None:
    """Check that the unit renews a certificate that is due, while the tenant issues none."""
    old = serial(tenant, device)
    tenant.fault(where="est", do="status", status=503)
    make_due(device)
    run = start(device)
    assert run.outcome == "success", run.lines
    assert said(run, "confirmed: the bridge is connected with it"), run.lines
    tenant.wait_connected(device.name, not_serial=old)
    assert enrolments(tenant) == 0


def test_a_password_registers_and_the_unit_renews(
    device: Device, tenant: Tenant, start_authority: StartAuthority
) -> None:
    authority = start_authority("-o")
    configure(device, tenant)
    name_authority(device, authority)
    device.run(f"tedge config set est.username {libest.USER}")
    words = f"tedge cert download c8y --ca est --device-id {device.name}"
    device.run(words, env={"DEVICE_ONE_TIME_PASSWORD": libest.PASSWORD})
    device.run(UPLOAD)
    device.run("tedge connect c8y", timeout_s=120)
    tenant.wait_connected(device.name)
    assert f"=> sudo systemctl edit {SERVICE}" in device.run("tedge cert status", check=False).stdout
    drop_in(device, SERVICE, "RENEW_WITH_CA=est")
    device.systemctl("daemon-reload")
    assert "systemctl edit" not in device.run("tedge cert status", check=False).stdout
    expect_renewal_there(device, tenant)


@pytest.mark.own_device
def test_a_factory_certificate_registers_at_the_first_boot_and_after_an_expiry(
    image: Device, tenant: Tenant, start_authority: StartAuthority
) -> None:
    device, authority = image, start_authority("-n")
    configure(device, tenant)
    name_authority(device, authority)
    drop_in(device, SERVICE, "RENEW_WITH_CA=est")
    drop_in(device, REGISTRATION, "REGISTER_WITH_CA=est")
    factory = authority.issue("serial-4711", 3650)
    device.write(FACTORY, factory.pem.decode())
    device.write(FACTORY_KEY, factory.key_pem.decode(), owner="tedge", mode=0o400)
    device.run(f"tedge config set device.id {device.name}")
    upload(tenant, authority)
    device.boot()
    tenant.wait_connected(device.name, timeout_s=60)
    device.wait_for("test ! -e /var/lib/tedge-cert-renewer/c8y.registering")
    facts = device.stat(KEY)
    assert (facts.owner, facts.group, facts.mode) == ("tedge", "mosquitto", 0o640)
    expect_renewal_there(device, tenant)
    # It was off for a year.
    request = device.run(f"openssl req -new -key {KEY} -subj /CN={device.name}").stdout
    device.write(CERTIFICATE, tenant.issue(request, lifetime_s=-60, not_before_offset_s=-3600), owner="tedge:mosquitto")
    tenant.drop(device.name)
    connections = len(tenant.device(device.name)["connections"])
    run = start(device)
    assert run.outcome == "failed"
    assert said(run, f"the factory certificate {FACTORY} gets a new one"), run.lines
    tenant.wait_connected(device.name, connections=connections + 1, timeout_s=90)
    device.wait_for("test ! -e /var/lib/tedge-cert-renewer/c8y.registering")
