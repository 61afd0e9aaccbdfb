# SPDX-License-Identifier: Apache-2.0
"""Connecting in other ways: a certificate elsewhere, user and password, a second listener, the MQTT service's port."""

import pytest

from system import onboarding, renewer
from system.device import Device
from system.renewer import SERVICE, make_due, said, start
from tenant.client import Tenant

DROP_IN = f"/etc/systemd/system/{SERVICE}.d/50-certificate-path.conf"


@pytest.mark.parametrize("where", ["/data/certs", "/home/device/certs"])
def test_a_certificate_elsewhere_is_renewed(device: Device, tenant: Tenant, where: str) -> None:
    device.run(f"mkdir -p {where} && chmod 0755 {where} && chown root:root {where}")
    onboarding.configure(device, tenant)
    said_by_set = device.run(f"tedge config set device.cert_path {where}/cert.pem").stderr
    assert f"may not write in {where} yet\n    => `sudo tedge reconnect c8y` lets it" in said_by_set
    device.run(f"tedge config set device.key_path {where}/key.pem")
    device.run(f"tedge config set device.csr_path {where}/device.csr")
    refused = device.run("tedge cert download c8y --device-id a --one-time-password password-1", check=False)
    assert refused.exit_code == 1
    assert f"`sudo chown tedge:mosquitto {where}`" in refused.stderr
    device.run(f"chown tedge:mosquitto {where}")
    onboarding.register(device, tenant)
    connected = device.run("tedge connect c8y", timeout_s=120)
    assert f"{DROP_IN} opens {where} to the renewal" in connected.stderr
    assert f'ReadWritePaths="-{where}"' in device.read(DROP_IN)
    facts = device.stat(DROP_IN)
    assert (facts.owner, facts.group, facts.mode) == ("root", "root", 0o644)
    before = tenant.wait_connected(device.name)["serial"]
    make_due(device)
    run = start(device)
    assert run.outcome == "success", run.lines
    assert tenant.wait_connected(device.name, not_serial=before)
    device.run("tedge disconnect c8y")
    assert not device.exists(DROP_IN)


@pytest.mark.parametrize("where", ["/tmp/c", "/home"])
def test_a_directory_that_nothing_opens(device: Device, tenant: Tenant, where: str) -> None:
    onboarding.configure(device, tenant)
    onboarding.register(device, tenant)
    device.run(f"mkdir -p {where} && cp -a /etc/tedge/device-certs/. {where}/")
    for name, file in (("cert", "tedge-certificate"), ("key", "tedge-private-key")):
        device.run(f"tedge config set device.{name}_path {where}/{file}.pem")
    refused = device.run("tedge connect c8y", check=False)
    assert refused.exit_code == 1
    assert f"{where} cannot be opened to the renewal" in refused.stderr or "as a whole" in refused.stderr
    assert not device.exists(DROP_IN)


@pytest.mark.one_release
def test_a_device_with_user_and_password(device: Device, tenant: Tenant) -> None:
    tenant.settings(device_users={"device_x": "a password"})
    onboarding.configure(device, tenant)
    device.write("/etc/tedge/credentials.toml", '[c8y]\nusername = "t1/device_x"\npassword = "a password"\n')
    device.run(f"tedge config set c8y.auth_method auto && tedge config set device.id {device.name}")
    connected = device.run("tedge connect c8y", timeout_s=120)
    assert "everybody on this device can read the password" in connected.stderr
    tenant.wait_connected(device.name)
    facts = device.stat("/etc/tedge/mosquitto-conf/c8y-bridge.conf")
    assert (facts.owner, facts.group, facts.mode) == ("root", "mosquitto", 0o640)
    run = start(device)
    assert (run.outcome, len(run.lines)) == ("skipped", 1)
    assert said(run, "nothing to renew: c8y.auth_method is auto")
    device.systemctl("reload", "mosquitto.service")
    assert device.run("tedge connect c8y --test").exit_code == 0
    again = device.run("tedge reconnect c8y", timeout_s=120)
    assert "a password" not in again.stderr
    # The broker holds the password in its memory, and so do we; no argument list and no journal does.
    assert (
        "a password" not in device.run("journalctl -o cat --no-pager; cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
    )
    device.run("tedge disconnect c8y")
    assert not device.exists("/etc/tedge/mosquitto-conf/c8y-bridge.conf")
    assert renewer.enrolments(tenant) == 0


def test_a_script_that_connects_again_and_again(device: Device, tenant: Tenant) -> None:
    """systemd refuses too many starts and leaves the unit stopped; the product resets the count before each restart."""
    limit = "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=1\n"
    device.write("/etc/systemd/system/mosquitto.service.d/limit.conf", limit)
    device.systemctl("daemon-reload")
    onboarding.connect(device, tenant)
    device.run("tedge disconnect c8y")
    assert device.unit("mosquitto.service", "ActiveState")["ActiveState"] == "active"
    device.run("tedge connect c8y", timeout_s=120)
    tenant.wait_connected(device.name)


@pytest.mark.one_release
def test_what_is_typed_next_names_the_profile(device: Device, tenant: Tenant) -> None:
    tenant.register("second", onboarding.PASSWORD)
    device.run(f"tedge config set c8y.url {onboarding.TENANT} --profile other")
    device.run(f"tedge config set c8y.http {onboarding.TENANT}:{tenant.http_port} --profile other")
    given = f"--device-id second --one-time-password {onboarding.PASSWORD}"
    told = device.run(f"tedge cert download c8y --profile other {given}")
    assert "=> `sudo tedge connect c8y --profile other` connects it" in told.stderr


@pytest.mark.parametrize("whose", ["mosquitto's own", "another program's"])
def test_a_taken_port_is_named_with_what_to_type(device: Device, tenant: Tenant, whose: str) -> None:
    """Mosquitto has a listener of its own there, or another program has; the cure of the first is typed."""
    device.run("systemctl stop mosquitto")
    onboarding.configure(device, tenant)
    onboarding.register(device, tenant)
    if whose == "mosquitto's own":
        device.write("/etc/mosquitto/conf.d/mine.conf", "listener 1883\nallow_anonymous true\n")
        cure = "tedge config set mqtt.bind.enabled false"
        named = f"/etc/mosquitto/conf.d/mine.conf has a listener on port 1883 already; to use that one, `sudo {cure}`"
    else:
        other = "systemd-run --unit=other-broker --service-type=exec python3 -c"
        device.run(f"{other} \"import socket, signal; s = socket.create_server(('', 1883)); signal.pause()\"")
        device.run("until ss -Hltn | grep -q :1883; do :; done", timeout_s=30)
        cure = "tedge config set mqtt.bind.port 1884 && sudo tedge config set mqtt.client.port 1884"
        named = ", other-broker.service); stop that, or use another port: `sudo " + cure + "`"
    refused = device.run("tedge connect c8y", check=False, timeout_s=120)
    assert refused.exit_code == 1
    last = refused.stderr.splitlines()[-1]
    assert last.startswith("error: mosquitto does not start: Error: Address already in use: ")
    assert named in last
    assert not device.exists("/etc/tedge/mosquitto-conf/c8y-bridge.conf")
    device.run(cure)
    device.run("tedge connect c8y", timeout_s=120)
    assert tenant.wait_connected(device.name)
    device.run("systemctl stop other-broker 2>/dev/null || rm /etc/mosquitto/conf.d/mine.conf", check=False)


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_the_broker_starts_at_the_next_boot(device: Device, tenant: Tenant, state: str) -> None:
    """Debian enables it, and then only the timer has systemd read all units again, which takes most of a connection."""
    onboarding.configure(device, tenant)
    onboarding.register(device, tenant)
    if state == "disabled":
        device.run("systemctl disable mosquitto.service")
    before = device.cursor()
    device.run("tedge connect c8y", timeout_s=120)
    assert device.run("systemctl is-enabled mosquitto.service").stdout == "enabled\n"
    reloads = [each.message for each in device.journal(after=before) if each.message.startswith("Reloading.")]
    assert state == "disabled" or len(reloads) == 1, reloads
