# SPDX-License-Identifier: Apache-2.0
"""Commands killed at every system call that changes a file: files are old or new, and typed again they work."""

import signal
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from faults.goodness import expect_good, flaw_of_lock, flaw_of_pair
from faults.hourly import hour, traced
from faults.record import LostDeviceError, Matrix
from tenant.client import Tenant
from unit.connected import certify, configure, instance_of, issue, key_file
from unit.local_device import LocalDevice

# How many calls of each command `make test` kills it at, from its first to its last.
SAMPLE = 2
CURE = "tedge cert remove"
OTHER = 'url = "of-another-time.example"\n'


def bare(device: LocalDevice) -> None:
    assert not device.certificate.exists()


def made(device: LocalDevice) -> None:
    assert device.run("tedge-cert-create --device-id x").exit == 0


def registered(device: LocalDevice) -> None:
    certify(device, days=60)


def connected(device: LocalDevice) -> None:
    registered(device)
    assert device.connect().exit == 0


def with_candidate(device: LocalDevice) -> None:
    connected(device)
    issue(device)


def with_changed_setting(device: LocalDevice) -> None:
    connected(device)
    configure(device, "[c8y]\n", '[c8y]\nbridge.keepalive_interval = "50s"\n')


def restart_broker(device: LocalDevice) -> None:
    """Mosquitto takes what the killed command left, once there is a listener."""
    device.stop_broker()
    if instance_of(device).bridge_file.with_name("tedge-mosquitto.conf").exists():
        device.start_broker()


def type_again(device: LocalDevice, words: str) -> None:
    """What a person does after the kill; a second command if the first one names it."""
    again = device.run(words)
    if again.exit == 1 and "`sudo tedge reconnect c8y`" in again.stderr:
        again = device.run("tedge-reconnect c8y")
    assert again.exit == 0, again
    restart_broker(device)


def expect_connected(device: LocalDevice, words: str) -> None:
    restart_broker(device)
    type_again(device, words)
    assert device.certificate.exists()
    assert instance_of(device).bridge_file.exists()
    expect_good(device, f"{words}: {hour(device).said}")
    expect_no_temporary(device)


def expect_disconnected(device: LocalDevice, words: str) -> None:
    restart_broker(device)
    type_again(device, words)
    assert not instance_of(device).bridge_file.exists()
    expect_good(device, f"{words}: {hour(device).said}")
    expect_no_temporary(device)


def expect_made(device: LocalDevice, words: str) -> None:
    """A pair, or what stands in the way of one is named."""
    again = device.run(words)
    if again.exit:
        assert "exists already and is not overwritten" in again.stderr
        assert CURE in again.stderr
        assert key_file(device).exists()
        assert device.run("tedge-cert-remove").exit == 0
        assert list(device.certificate.parent.iterdir()) == []
        assert device.run(words).exit == 0
    assert flaw_of_pair(device) == ""
    assert {each.name for each in device.certificate.parent.iterdir()} == {"cert.pem", "key.pem"}


def expect_removed(device: LocalDevice, words: str) -> None:
    if not device.certificate.exists():
        assert "tedge cert download" in hour(device).said
    assert device.run(words).exit == 0
    assert list(device.certificate.parent.iterdir()) == []


def expect_set(device: LocalDevice, words: str) -> None:
    assert device.run(words).exit == 0
    assert tomllib.loads((device.directory / "tedge.toml").read_text())["device"]["type"] == "of-this-test"
    expect_no_temporary(device)


def with_clouds(device: LocalDevice) -> None:
    """Two clouds and a profile, and a file of a mapper with other settings."""
    configure(device, "[device]\n", '[device]\ntype = "of-this-test"\n')
    configure(device, "[c8y]\n", '[az]\nurl = "a.example"\n[c8y]\nprofiles.p.url = "p.example"\n')
    (device.directory / "mappers/az").mkdir(parents=True)
    (device.directory / "mappers/az/mapper.toml").write_text(OTHER)


def expect_moved(device: LocalDevice, words: str) -> None:
    """Until it is typed again, the default profile is whole, and what is not read is named with the cure."""
    host = device.tenant.address
    assert device.run("tedge-config get c8y.url").stdout == f"{host}\n"
    other = device.run("tedge-config get c8y.profiles.p.url")
    assert other.stdout == "p.example\n" or "`sudo tedge config upgrade`" in other.stderr, other
    assert device.run(words).exit == 0
    for key, value in {"c8y.url": host, "c8y.profiles.p.url": "p.example", "az.url": "a.example"}.items():
        assert device.run(f"tedge-config get {key}").stdout == f"{value}\n"
    assert not {"c8y", "az"} & tomllib.loads((device.directory / "tedge.toml").read_text()).keys()
    assert tomllib.loads((device.directory / "tedge.toml.bak").read_text())["c8y"]["url"] == host
    assert (device.directory / "mappers/az/mapper.toml.bak").read_text() == OTHER
    expect_no_temporary(device)


def expect_no_temporary(device: LocalDevice) -> None:
    """Profiles share the listener's file but not a lock, so no command removes the temporary file of another."""
    left = [each for each in device.directory.rglob(".*.tmp") if "run" not in each.parts]
    assert [each for each in left if "tedge-mosquitto.conf" not in each.name] == []


@dataclass(frozen=True)
class Typed:
    """What is typed, on what device, and what has to hold after it was killed."""

    words: str
    begin: Callable[[LocalDevice], None]
    expect: Callable[[LocalDevice, str], None]


COMMANDS = {
    "connect": Typed("tedge-connect c8y", registered, expect_connected),
    "reconnect with a candidate": Typed("tedge-reconnect c8y", with_candidate, expect_connected),
    "reconnect with a changed setting": Typed("tedge-reconnect c8y", with_changed_setting, expect_connected),
    "disconnect": Typed("tedge-disconnect c8y", connected, expect_disconnected),
    "create": Typed("tedge-cert-create --device-id x", bare, expect_made),
    "remove": Typed("tedge-cert-remove", made, expect_removed),
    "config set": Typed("tedge-config set device.type of-this-test", bare, expect_set),
    "config upgrade": Typed("tedge-config upgrade", with_clouds, expect_moved),
}


def expect_old_or_new(device: LocalDevice, before: str) -> None:
    """At the instant of the kill, before anybody mends anything."""
    text = (device.directory / "tedge.toml").read_text()
    assert text == before or tomllib.loads(text)["device"]["type"] == "of-this-test"
    if device.certificate.exists() and flaw_of_pair(device):
        raise LostDeviceError(flaw_of_pair(device))
    assert flaw_of_lock(device) == ""


def kill(device: LocalDevice, typed: Typed, number: int, when: str) -> None:
    try:
        typed.begin(device)
        before = (device.directory / "tedge.toml").read_text()
        killed = traced(device, typed.words, number, when)
        assert killed.result.exit == -signal.SIGKILL, killed.result
        expect_old_or_new(device, before)
        typed.expect(device, typed.words)
    finally:
        device.stop_broker()


@pytest.mark.row("Killed anywhere")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command(tenant: Tenant, tmp_path: Path, matrix: Matrix, name: str) -> None:
    typed, prefix = COMMANDS[name], name.replace(" ", "-")
    clean = LocalDevice(tmp_path / "clean" / "device", tenant, f"typed-{prefix}-0")
    typed.begin(clean)
    calls = traced(clean, typed.words).calls
    clean.stop_broker()
    assert len(calls) > SAMPLE
    points = [(call.number, when) for call in calls for when in ("before", "after")]
    for number, when in points if matrix.whole else points[1 :: len(points) // SAMPLE]:
        with matrix.case(f"{name}: {when} {calls[number - 1]}"):
            directory = tmp_path / f"{number}-{when}" / "device"
            kill(LocalDevice(directory, tenant, f"typed-{prefix}-{number}-{when}"), typed, number, when)
