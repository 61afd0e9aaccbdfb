# SPDX-License-Identifier: Apache-2.0
"""Every file and directory has its mode, whatever the umask of the person who typed the command."""

import shutil
from pathlib import Path

import pytest

from unit.local_device import LocalDevice

COMMANDS = (
    "tedge-config set device.type gateway",
    "tedge-config set c8y.bridge.keepalive_interval 30s",
    "tedge-cert-create --device-id first",
    "tedge-cert-remove",
    "tedge-cert-create-csr --device-id {id}",
    "tedge-cert-download c8y --device-id {id} --one-time-password secret-0815",
    "tedge-connect c8y --offline",
    "tedge-cert-renew c8y",
    "tedge-cert-verify c8y",
)
DIRECTORY, OPEN = 0o755, 0o644
EXPECTED = {
    "certs/cert.pem": OPEN,
    "certs/device.csr": OPEN,
    "certs/key.pem": 0o640,
    "mosquitto-conf": DIRECTORY,
    "mosquitto-conf/c8y-bridge.conf": OPEN,
    "mosquitto-conf/tedge-mosquitto.conf": OPEN,
    "run/tedge-cert-renewer": DIRECTORY,
    "run/tedge-cert-renewer/….holder": OPEN,
    "run/tedge-cert-renewer/….lock": 0o640,
    "run/tedge-cert-renewer/c8y.access-token": OPEN,
    "state": DIRECTORY,
    # What is remembered of a registration is for nobody else.
    "state/c8y.device-id": 0o600,
    "state/c8y.json": OPEN,
    "tedge.toml": OPEN,
}


def modes(directory: Path) -> dict[str, int]:
    """The modes below the directory; the name of a lock is that of the path that it is for."""
    found = {}
    for each in sorted(directory.rglob("*")):
        name = f"….{each.suffix[1:]}" if each.suffix in (".lock", ".holder") else each.name
        found[str((each.parent / name).relative_to(directory))] = each.stat().st_mode & 0o7777
    return found


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_modes_are_set_and_not_asked_for(local_device: LocalDevice, umask: int) -> None:
    local_device.umask = umask
    local_device.tenant.register(local_device.device_id, "secret-0815")
    for each in ("mosquitto-conf", "run/tedge-cert-renewer"):
        shutil.rmtree(local_device.directory / each)
    of_test = set(modes(local_device.directory)) - {"tedge.toml"}
    for words in COMMANDS:
        result = local_device.run(words.format(id=local_device.device_id))
        assert result.exit == 0, (words, result)
    found = modes(local_device.directory)
    assert {name: oct(mode) for name, mode in found.items() if name not in of_test} == {
        name: oct(mode) for name, mode in EXPECTED.items()
    }
