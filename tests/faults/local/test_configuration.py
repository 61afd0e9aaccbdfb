# SPDX-License-Identifier: Apache-2.0
"""Two programs change the configuration at once: both changes are kept."""

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from faults.record import Matrix
from tedge_cert.bridge import mosquitto_conf
from tedge_cert.errors import ConfigurationError
from unit.connected import certify, configure, mosquitto_of
from unit.local_device import LocalDevice

KEYS = [f"c8y.{name}" for name in ("smartrest.templates", "smartrest1.templates")]
SETTINGS = {
    "device.type": "some-type",
    "mqtt.topic_root": "other",
    "mqtt.client.host": "192.0.2.1",
    "c8y.bridge.topic_prefix": "c9y",
    "certificate.organization": "Company",
    "certificate.organization_unit": "Somewhere",
}


@pytest.mark.row("Locks")
def test_no_change_is_lost(local_device: LocalDevice, matrix: Matrix) -> None:
    """Each is a process that reads, changes and writes the whole file."""
    runs = [
        subprocess.Popen(local_device.command(f"tedge-config set {key} {value}"), env=local_device.environment)
        for key, value in SETTINGS.items()
    ]
    runs += [
        subprocess.Popen(local_device.command(f"tedge-config add {key} t{n}"), env=local_device.environment)
        for key in KEYS
        for n in range(3)
    ]
    assert [run.wait(60) for run in runs] == [0] * len(runs)
    for key, value in SETTINGS.items():
        with matrix.case(key):
            assert local_device.run(f"tedge-config get {key}").stdout == f"{value}\n"
    for key in KEYS:
        with matrix.case(key):
            assert local_device.run(f"tedge-config get {key}").stdout == '["t0", "t1", "t2"]\n'


@pytest.mark.row("Locks")
def test_who_changes_the_configuration_waits(local_device: LocalDevice) -> None:
    held = os.open(local_device.directory, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    command = local_device.command("tedge-config set device.type other")
    waiting = subprocess.Popen(command, env=local_device.environment, stderr=subprocess.PIPE, text=True)
    assert waiting.stderr is not None
    assert waiting.stderr.readline().startswith("waiting for another process to finish with ")
    os.close(held)
    assert waiting.wait(30) == 0
    waiting.stderr.close()


PLUGIN = "x\nplugin /home/tedge/evil.so"


@pytest.mark.row("Who may do what: user tedge")
@pytest.mark.parametrize("key", ["topic_prefix", "root_cert_path", "cert_path", "topic_root", "certificate"])
def test_no_directive_comes_in_by_a_value(local_device: LocalDevice, tmp_path: Path, key: str) -> None:
    """The broker is started by root, and a plugin would be loaded by root."""
    certify(local_device, name=PLUGIN if key == "certificate" else "")
    escaped = PLUGIN.replace("\n", "\\n")
    if key == "topic_prefix":
        configure(local_device, "[c8y]\n", f'[c8y]\nbridge.topic_prefix = "{escaped}"\n')
    elif key == "topic_root":
        configure(local_device, "[mqtt.bind]\n", f'[mqtt]\ntopic_root = "{escaped}"\n[mqtt.bind]\n')
    elif key == "root_cert_path":
        (local_device.directory / PLUGIN.partition("/")[0]).mkdir()
        configure(local_device, f'root_cert_path = "{local_device.tenant.server_ca}"', f'root_cert_path = "/{escaped}"')
    elif key == "cert_path":
        configure(local_device, f'cert_path = "{local_device.certificate}"', f'cert_path = "/{escaped}"')
    with pytest.raises(ConfigurationError):
        mosquitto_conf.bridge_text(mosquitto_of(local_device))
