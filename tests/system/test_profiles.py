# SPDX-License-Identifier: Apache-2.0
"""Two profiles on one device: two tenants, two certificates, two bridges in one broker, two timers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from system.device import Device
from system.onboarding import PASSWORD
from system.renewer import DIRECTORY, SERVICE, TIMER, make_due
from tenant.client import Tenant

OWN = "tedge-cert-renewer-c8y@second"
SECOND = f"{DIRECTORY}/second.pem"
NAME = "second.test"


@pytest.fixture
def second(connected: Device, tenant: Tenant, tmp_path: Path) -> Iterator[Tenant]:
    """Another tenant, which the profile `second` of the device is registered with, by a key of its own."""
    address = connected.network.host
    with Tenant.start(tmp_path / "second", [NAME], address) as running:
        connected.know({"tenant.test": address, NAME: address})
        connected.write("/etc/tedge/second-root.pem", running.server_ca.read_text())
        settings = {
            "url": NAME,
            "http": f"{NAME}:{running.http_port}",
            "mqtt": f"{NAME}:{running.mqtt_port}",
            "root_cert_path": "/etc/tedge/second-root.pem",
            "device.cert_path": SECOND,
            "device.key_path": f"{DIRECTORY}/second-key.pem",
            "device.csr_path": f"{DIRECTORY}/second.csr",
            "bridge.topic_prefix": "c8y-second",
        }
        for key, value in settings.items():
            connected.run(f"tedge config set c8y.{key} {value} --profile second")
        # Where the proxy of thin-edge has a port, each profile needs its own.
        connected.run("tedge config set c8y.proxy.bind.port 8002 --profile second", check=False)
        running.register("second-1", PASSWORD)
        connected.run(f"tedge cert download c8y --profile second --device-id second-1 --one-time-password {PASSWORD}")
        yield running


def connect(device: Device, tenant: Tenant) -> None:
    device.run("tedge connect c8y --profile second", timeout_s=120)
    tenant.wait_connected("second-1")


def test_two_profiles_are_connected_and_renewed_in_the_same_minute(
    connected: Device, tenant: Tenant, second: Tenant
) -> None:
    connect(connected, second)
    first_before = tenant.wait_connected(connected.name)["serial"]
    second_before = second.wait_connected("second-1")["serial"]
    assert {TIMER, f"{OWN}.timer"} <= set(connected.run("systemctl list-timers --no-pager").stdout.split())
    broker = connected.unit("mosquitto.service", "MainPID")
    make_due(connected)
    after = connected.cursor()
    connected.systemctl("start", SERVICE, f"{OWN}.service", timeout_s=400)
    assert tenant.wait_connected(connected.name, not_serial=first_before)
    assert second.wait_connected("second-1", not_serial=second_before)
    assert connected.unit("mosquitto.service", "MainPID") == broker
    for unit in (SERVICE, f"{OWN}.service"):
        lines = [each.message for each in connected.journal(unit, after=after)]
        assert any("confirmed: the bridge is connected with it" in line for line in lines), lines
    left = connected.listing(DIRECTORY)
    assert not [name for name in left if name.endswith((".new", ".previous", ".tmp"))]
    assert tenant.device(connected.name)["evictions"] == second.device("second-1")["evictions"] == 1


def test_each_goes_its_own_way(connected: Device, tenant: Tenant, second: Tenant) -> None:
    """Each profile: token, request, test, reconnection, an hour with nothing to do, disconnection."""
    connect(connected, second)
    shown = connected.run("tedge http get /c8y/inventory/managedObjects --profile second")
    assert '"managedObjects"' in shown.stdout
    assert second.state()["requests"][-1]["path"] == "/inventory/managedObjects"
    connected.run("tedge connect c8y --profile second --test")
    connected.run("tedge reconnect c8y --profile second", timeout_s=120)
    assert tenant.device(connected.name)["evictions"] == 0
    run = connected.start_unit(f"{OWN}.service")
    assert (run.exit_code, run.outcome) == (0, "skipped")
    assert SECOND in run.lines[0]
    connected.run("TEDGE_CLOUD_PROFILE=second tedge disconnect c8y")
    second.wait_disconnected("second-1")
    assert connected.unit(f"{OWN}.timer", "UnitFileState")["UnitFileState"] == "disabled"
    assert connected.unit(TIMER, "UnitFileState")["UnitFileState"] == "enabled"
    tenant.wait_connected(connected.name)


MAPPERS = {f"/etc/tedge/mappers{each}" for each in ("", "/c8y", "/c8y.second")}


@pytest.mark.one_release
def test_settings_that_moved_below_mappers_are_used(connected: Device, tenant: Tenant, second: Tenant) -> None:
    """Both profiles go on, and root's files stay root's; what thin-edge left to user tedge becomes root's."""
    connect(connected, second)
    refused = connected.run("tedge config upgrade", user="tedge", check=False)
    assert (refused.exit_code, "sudo tedge config upgrade" in refused.stderr) == (1, True)
    connected.run("sh -c 'umask 077; tedge config upgrade'")
    connected.run("chown -R tedge:tedge /etc/tedge/mappers")
    connected.run("/var/lib/dpkg/info/tedge-cert-renewer.postinst configure 0.2.0", timeout_s=120)
    facts = {each: connected.stat(each) for each in MAPPERS | {f"{each}/mapper.toml" for each in sorted(MAPPERS)[1:]}}
    assert {(each.owner, each.group) for each in facts.values()} == {("root", "root")}
    assert {facts[each].mode for each in MAPPERS} == {0o755}
    assert {each.mode for name, each in facts.items() if name not in MAPPERS} == {0o644}
    for unit in (SERVICE, f"{OWN}.service"):
        run = connected.start_unit(unit)
        assert (run.exit_code, run.outcome) == (0, "skipped"), run.lines
    for option in ("", "--profile second"):
        connected.run(f"tedge reconnect c8y {option}", timeout_s=120)
    tenant.wait_connected(connected.name)
    second.wait_connected("second-1")
    connected.run("tedge config set c8y.url third.test --profile third")
    assert connected.stat("/etc/tedge/mappers/c8y.third").mode == 0o755
    connected.run("tedge config unset c8y.url --profile third")
    assert not connected.exists("/etc/tedge/mappers/c8y.third")


@pytest.mark.one_release
@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (
            "c8y.bridge.topic_prefix",
            "c8y",
            "`tedge config set c8y.bridge.topic_prefix c8y-second --profile second`",
        ),
        ("c8y.device.cert_path", f"{DIRECTORY}/tedge-certificate.pem", "are both"),
    ],
)
def test_what_two_may_not_share_is_refused(
    connected: Device, tenant: Tenant, second: Tenant, key: str, value: str, said: str
) -> None:
    connected.run(f"tedge config set {key} {value} --profile second")
    if key == "c8y.device.cert_path":
        connected.run(f"tedge config set c8y.mqtt tenant.test:{tenant.mqtt_port} --profile second")
    before = connected.listing("/etc/tedge/mosquitto-conf")
    done = connected.run("tedge connect c8y --profile second", check=False)
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr
    assert connected.listing("/etc/tedge/mosquitto-conf") == before


def test_the_units_of_profiles_are_sound(device: Device) -> None:
    verified = device.run(f"systemd-analyze verify --man=no {OWN}.service {OWN}.timer 2>&1", check=False)
    assert not [line for line in verified.stdout.splitlines() if "tedge" in line], verified.stdout
    assert device.unit(f"{OWN}.timer", "PartOf")["PartOf"] == "tedge-cert-renewer-c8y.target"
