# SPDX-License-Identifier: Apache-2.0
"""A private key that the settings place in a token that is off: no command uses or makes another one in its stead."""

import json
from pathlib import Path

import pytest

from unit.connected import certify, connect
from unit.local_device import LocalDevice, Result

SAID = "error: device.key_uri says that the private key is in a token, but device.cryptoki.mode is off: nothing was"
CURE = "`sudo tedge config set device.cryptoki.mode module` uses the token, `sudo tedge config unset device.key_uri`"


def contents(directory: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in directory.iterdir()}


def set_key_uri(device: LocalDevice) -> None:
    assert device.run("tedge-config set device.key_uri pkcs11:token=gateway").exit == 0


def refused(result: Result, code: int) -> bool:
    return result.exit == code and SAID in result.stderr and CURE in result.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("tedge-cert-create --device-id x", 1),
        ("tedge-cert-create-csr --device-id x", 1),
        ("tedge-cert-download c8y --device-id x --one-time-password secret-0815", 1),
        ("tedge-cert-needs-renewal --systemd c8y", 255),
        ("tedge-connect c8y --offline", 1),
    ],
)
def test_nothing_makes_a_key_on_a_new_device(local_device: LocalDevice, words: str, code: int) -> None:
    set_key_uri(local_device)
    assert refused(local_device.run(words), code)
    assert contents(local_device.certificate.parent) == {}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("tedge-cert-needs-renewal --systemd c8y", 255),
        ("tedge-cert-renew c8y", 1),
        ("tedge-cert-remove", 1),
        ("tedge-reconnect c8y", 1),
        ("tedge-http get /c8y/tenant/currentTenant", 1),
    ],
)
def test_nothing_changes_on_a_registered_device(local_device: LocalDevice, words: str, code: int) -> None:
    certify(local_device)
    before = contents(local_device.certificate.parent)
    set_key_uri(local_device)
    assert refused(local_device.run(words), code)
    assert contents(local_device.certificate.parent) == before


def test_status_and_disconnect_still_work(local_device: LocalDevice) -> None:
    certify(local_device, days=90)
    connect(local_device)
    set_key_uri(local_device)
    status = local_device.run("tedge-cert-status --json")
    problem = json.loads(status.stdout)["instances"][0]["problems"][0]
    assert (status.exit, problem["rank"]) == (2, "broken")
    assert (problem["cure"], SAID.split(":")[1].strip() in problem["what"]) == (
        "sudo tedge config set device.cryptoki.mode module",
        True,
    )
    assert local_device.run("tedge-cert-show").exit == 0
    assert local_device.run("tedge-disconnect c8y").exit == 0
