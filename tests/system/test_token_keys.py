# SPDX-License-Identifier: Apache-2.0
"""A private key in a token of software (SoftHSM), from its making to the renewal, on a booted device."""

import pytest

from system.device import Device
from system.devices import Devices
from system.onboarding import PASSWORD, configure, give, register
from system.renewer import KEY, SERVICE, TIMER, make_due, serial, start
from tenant.client import Tenant

# The TPM is tried on both releases; the way from the provider to the key is the same.
pytestmark = [pytest.mark.own_device, pytest.mark.one_release]

PIN_FILE = "/etc/tedge/gateway-pin"
TOKEN = f"""
softhsm2-util --init-token --free --label gateway --pin 471100 --so-pin 1234
chmod -R g+rwX /var/lib/softhsm/tokens
install -o root -g mosquitto -m 640 /dev/null {PIN_FILE}
echo 471100 > {PIN_FILE}
tedge config set device.cryptoki.module_path /usr/lib/softhsm/libsofthsm2.so
tedge config set device.cryptoki.pin_path {PIN_FILE}
tedge config set device.cryptoki.mode module
"""


@pytest.fixture
def _off(devices: Devices) -> Device:
    return devices.make("token")


def test_the_first_boot_uses_the_key_that_is_there(device: Device, tenant: Tenant) -> None:
    """A factory makes the key, and puts the password into the image."""
    device.run(["sh", "-ec", TOKEN])
    configure(device, tenant)
    device.run("tedge hsm create-key c8y")
    key = device.read(KEY)
    give(device, "tedge.device-id", device.name)
    give(device, "tedge.one-time-password", PASSWORD)
    tenant.register(device.name, PASSWORD)
    device.reboot()
    tenant.wait_connected(device.name, timeout_s=60)
    device.wait_for(f"systemctl is-active {TIMER}")
    assert device.read(KEY) == key
    assert device.state == "running"


def test_a_key_in_a_token(device: Device, tenant: Tenant) -> None:
    device.run(["sh", "-ec", TOKEN])
    configure(device, tenant)
    # User tedge is let in to the token.
    assert "  Label:        gateway\n" in device.run("tedge hsm list-tokens").stdout
    device.run("tedge hsm create-key c8y")
    facts = device.stat(KEY)
    assert (facts.owner, facts.group, facts.mode) == ("tedge", "mosquitto", 0o640)
    key = device.read(KEY)
    assert key.startswith("-----BEGIN PKCS#11 PROVIDER URI-----\n")
    register(device, tenant)
    # thin-edge has none of these, and `connect` makes them from its settings.
    device.run(f"rm {KEY} /etc/tedge/openssl.cnf /etc/tedge/openssl.env")
    device.run("tedge connect c8y", timeout_s=120)
    assert device.read(KEY) == key
    old = tenant.wait_connected(device.name)["serial"]

    # The unit renews with a new key, which its user makes and mosquitto reads; no local client is dropped.
    device.run("tedge config set certificate.rotate_key true")
    broker = device.unit("mosquitto.service", "MainPID")
    watcher = device.subscribe("#")
    make_due(device)
    run = start(device)
    assert (run.exit_code, run.outcome) == (0, "success"), run.lines
    tenant.wait_connected(device.name, not_serial=old)
    assert device.read(KEY) != key
    listed = device.run("tedge hsm list-keys").stdout
    assert (listed.count("Private key\n"), listed.count("Public key\n")) == (1, 1), listed
    assert device.unit("mosquitto.service", "MainPID") == broker
    assert sum("CONNACK" in line for line in watcher.lines) == 1
    exposure = device.run(f"systemd-analyze security --no-pager {SERVICE}").stdout.splitlines()[-1]
    assert float(exposure.split("service: ")[1].split()[0]) <= 1.5

    # mosquitto gets no wrong PIN, and works for local clients without one.
    device.run(f"echo 000000 > {PIN_FILE}; systemctl restart mosquitto.service")
    said = device.run("journalctl --sync; journalctl -u mosquitto.service --no-pager").stdout
    assert said.count("mosquitto gets no PIN, and its bridge stays down") == 1
    refused = device.run("tedge reconnect c8y", check=False)
    assert (refused.exit_code, "is not tried again" in refused.stderr) == (1, True), refused
    assert device.unit("mosquitto.service", "ActiveState") == {"ActiveState": "active"}
    assert "was refused by the token gateway" in device.run("tedge cert status", check=False).stdout
    device.run(f"echo 471100 > {PIN_FILE}")
    refuse_library_of_others(device)
    # A link of root's is as good as a file.
    device.run(
        "ln -s softhsm /usr/lib/tokens; tedge config set device.cryptoki.module_path /usr/lib/tokens/libsofthsm2.so"
    )
    device.run("tedge reconnect c8y", timeout_s=120)
    tenant.wait_connected(device.name, serial=serial(tenant, device))


def refuse_library_of_others(device: Device) -> None:
    """Commands of root load nothing that user tedge could replace, wherever it is named."""
    directory, files = "/var/lib/tedge-cert-renewer", ["/etc/tedge/openssl.cnf", "/etc/tedge/openssl.env"]
    theirs = f"{directory}/libsofthsm2.so"
    before = [device.read(each) for each in files]
    device.run(f"install /usr/lib/softhsm/libsofthsm2.so {theirs}")
    said = f"{theirs} is not loaded as the PKCS#11 library (device.cryptoki.module_path), because others than root"
    assert said in device.run(f"tedge config set device.cryptoki.module_path {theirs}").stderr
    refused = device.run("tedge reconnect c8y", check=False)
    assert (refused.exit_code, f"{said} can write {directory}: " in refused.stderr) == (1, True), refused
    assert [device.read(each) for each in files] == before
    # As a former version may have left it.
    device.run(["sed", "-i", f"s,^CRYPTOKI_MODULE=.*,CRYPTOKI_MODULE={theirs},", files[1]])
    refused = device.run("tedge cert renew c8y", check=False)
    assert (refused.exit_code, said in refused.stderr) == (1, True), refused
