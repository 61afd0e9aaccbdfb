# SPDX-License-Identifier: Apache-2.0
"""A device registers and connects without a person; the password is a systemd credential, from any source."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from system.device import Device
from system.onboarding import PASSWORD, STORE, STORED, TENANT, give, introduce
from system.renewer import CERTIFICATE, KEY, SERVICE, TIMER
from tenant.client import Tenant

pytestmark = pytest.mark.own_device

UNIT = "tedge-cert-download@c8y.service"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/50-encrypted.conf"
ENCRYPTED = """\
[Service]
LoadCredential=
LoadCredential=tedge.device-id
LoadCredential=tedge.c8y-url
LoadCredentialEncrypted=tedge.one-time-password:/etc/credstore.encrypted/tedge.one-time-password
"""


@pytest.fixture
def tenant(_off: Device, tmp_path: Path) -> Iterator[Tenant]:
    """A tenant at the default ports, so a device only needs its name."""
    address = _off.network.host
    with Tenant.start(tmp_path / "tenant", [TENANT, address], address, http_port=443, mqtt_port=8883) as running:
        yield running


@pytest.fixture
def fresh(_off: Device, tenant: Tenant) -> Device:
    """A device that is off, has our package, and trusts the tenant."""
    introduce(_off, tenant, _off.network.host)
    return _off


def image(device: Device, tenant: Tenant, *, registered: bool = True) -> None:
    """Prepare an image with credentials; the operator may have registered the device."""
    give(device, "tedge.c8y-url", TENANT)
    give(device, "tedge.device-id", device.name)
    give(device, "tedge.one-time-password", PASSWORD)
    if registered:
        tenant.register(device.name, PASSWORD)


def is_up(device: Device, tenant: Tenant) -> None:
    """Check that it is connected and renews, and that the password is removed."""
    tenant.wait_connected(device.name, timeout_s=60)
    device.wait_for(f"systemctl is-active {TIMER}")
    device.wait_for("test ! -e /var/lib/tedge-cert-renewer/c8y.registering")
    assert device.run(f"systemctl is-enabled {TIMER}").stdout.strip() == "enabled"
    device.wait_for(f"test ! -e {STORED}")
    lines = "\n".join(entry.message for entry in device.journal())
    assert PASSWORD not in lines


def test_a_password_in_the_image(fresh: Device, tenant: Tenant) -> None:
    image(fresh, tenant)
    fresh.boot()
    is_up(fresh, tenant)
    facts = fresh.stat(KEY)
    assert (facts.owner, facts.group, facts.mode) == ("tedge", "mosquitto", 0o640)
    assert fresh.run("tedge config get c8y.url").stdout == f"{TENANT}\n"
    told = tenant.wait_messages(fresh.name, topic=f"inventory/managedObjects/update/{fresh.name}")
    assert "tedge_DeviceCertificate" in told[0]["payload"]
    overall = fresh.run(f"systemd-analyze security --no-pager {UNIT} | tail -1").stdout
    assert float(overall.split(":")[1].split()[0]) <= 1.4, overall
    before = fresh.read(CERTIFICATE)
    fresh.reboot()
    tenant.wait_connected(fresh.name, connections=2)
    assert fresh.read(CERTIFICATE) == before
    assert fresh.state == "running"


def test_a_device_without_a_password_runs_nothing(device: Device) -> None:
    assert device.state == "running"
    assert not [entry for entry in device.journal(UNIT) if not entry.by_manager]
    device.systemctl("start", UNIT)
    assert device.unit(UNIT, "ConditionResult")["ConditionResult"] == "no"


def test_a_password_from_the_container_manager_comes_again_and_is_spent(fresh: Device, tenant: Tenant) -> None:
    tenant.register(fresh.name, PASSWORD)
    given = {"tedge.device-id": fresh.name, "tedge.one-time-password": PASSWORD, "tedge.c8y-url": TENANT}
    fresh.container.credentials.update(given)
    fresh.boot()
    is_up(fresh, tenant)
    expire(fresh, tenant)
    run = fresh.start_unit(UNIT)
    assert run.outcome == "failed"
    assert any("has been used already" in line for line in run.lines), run.lines
    assert fresh.unit(UNIT, "ActiveState")["ActiveState"] == "failed"


def test_an_encrypted_password(fresh: Device, tenant: Tenant) -> None:
    image(fresh, tenant)
    fresh.run(["rm", STORED])
    fresh.boot()
    fresh.write(DROP_IN, ENCRYPTED)
    fresh.run("mkdir -p -m 700 /etc/credstore.encrypted; systemctl daemon-reload")
    target = "/etc/credstore.encrypted/tedge.one-time-password"
    fresh.run(f"systemd-creds encrypt --name=tedge.one-time-password - {target}", stdin=PASSWORD)
    fresh.systemctl("start", UNIT)
    is_up(fresh, tenant)
    assert not fresh.exists(target)


@pytest.mark.one_release
def test_a_device_that_is_registered_later_comes_up_then(fresh: Device, tenant: Tenant) -> None:
    image(fresh, tenant, registered=False)
    fresh.boot()
    after = fresh.cursor()
    fresh.await_entry(lambda entry: "is not registered" in entry.message, after=after, timeout_s=60)
    assert fresh.state == "running"
    tenant.register(fresh.name, PASSWORD)
    is_up(fresh, tenant)


@pytest.mark.one_release
def test_a_wrong_password_is_reported_and_tried_more_and_more_rarely(fresh: Device, tenant: Tenant) -> None:
    image(fresh, tenant)
    give(fresh, "tedge.one-time-password", "another-password")
    fresh.boot()
    after = fresh.cursor()
    second = fresh.await_entry(lambda entry: "(attempt 2)" in entry.message, after=after, timeout_s=60)
    assert "401" in second.message
    assert "asking again in 20s" in second.message
    assert not any("another-password" in entry.message for entry in fresh.journal())
    assert fresh.exists(STORED)
    status = fresh.run("tedge cert status", check=False)
    assert status.exit_code == 2
    assert f"=> sudo journalctl -u {UNIT} -n 20" in status.stdout
    # The right one does not wait for the end of the pause.
    give(fresh, "tedge.one-time-password", PASSWORD)
    fresh.systemctl("restart", UNIT)
    is_up(fresh, tenant)


def test_a_password_that_is_none_is_refused_and_not_asked_with_again(device: Device) -> None:
    give(device, "tedge.c8y-url", TENANT)
    give(device, "tedge.one-time-password", "short")
    run = device.start_unit(UNIT)
    assert run.outcome == "failed"
    assert any("8 to 32 characters" in line for line in run.lines), run.lines
    assert device.unit(UNIT, "ActiveState")["ActiveState"] == "failed"


def expire(device: Device, tenant: Tenant) -> None:
    """Put an expired certificate there, as on a device that was off for a year."""
    csr = device.run(f"openssl req -new -key {KEY} -subj '/CN={device.name}/O=Thin Edge/OU=Device'").stdout
    device.write(CERTIFICATE, tenant.issue(csr, lifetime_s=-60, not_before_offset_s=-3600), owner="tedge:mosquitto")


def test_an_expired_device_with_a_new_password_comes_back(fresh: Device, tenant: Tenant) -> None:
    image(fresh, tenant)
    fresh.boot()
    is_up(fresh, tenant)
    expire(fresh, tenant)
    tenant.drop(fresh.name)
    tenant.register(fresh.name, "second-password")
    give(fresh, "tedge.one-time-password", "second-password")
    connections = len(tenant.device(fresh.name)["connections"])
    # The hour strikes: the renewer fails, and names the unit that registers.
    assert fresh.start_unit(SERVICE).outcome == "failed"
    tenant.wait_connected(fresh.name, connections=connections + 1, timeout_s=90)
    fresh.wait_for(f"test ! -e {STORED}")
    assert fresh.start_unit(SERVICE).outcome == "skipped"
    # One for each life of the device.
    tenant.wait_messages(fresh.name, 2, topic=f"inventory/managedObjects/update/{fresh.name}")


def test_a_broker_that_comes_later_is_connected_then(fresh: Device, tenant: Tenant) -> None:
    image(fresh, tenant)
    fresh.run("chmod -x /usr/sbin/mosquitto")
    fresh.boot()
    fresh.wait_for(f"test -e {CERTIFICATE}", 60)
    after = fresh.cursor()
    fresh.await_entry(lambda entry: "not connected yet" in entry.message, after=after, timeout_s=90)
    fresh.run("chmod +x /usr/sbin/mosquitto")
    is_up(fresh, tenant)


def test_a_device_that_nobody_named_has_the_name_that_systemd_makes(fresh: Device, tenant: Tenant) -> None:
    image(fresh, tenant, registered=False)
    fresh.run(["rm", f"{STORE}/tedge.device-id"])
    fresh.boot()
    told = fresh.await_entry(
        lambda entry: "the device is " in entry.message, after=fresh.cursor(), timeout_s=60
    ).message
    made = fresh.run("systemd-id128 machine-id --app-specific=b2a3a9a6f0b64b0d9a8f6a3f4f1c7d52").stdout.strip()
    assert f"the device is {made}, after /etc/machine-id" in told
