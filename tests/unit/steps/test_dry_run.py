# SPDX-License-Identifier: Apache-2.0
"""`tedge cert renew --dry-run`: every need of the request has its line, and nothing is asked for or written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from unit.connected import certify, configure, issue, key_file
from unit.local_device import LocalDevice
from unit.self_made import create

NEEDS = ["switch", "certificate", "key", "directory", "authority and clock", "token"]


def files_of(device: LocalDevice) -> dict[Path, tuple[bytes, int]]:
    """Every file of the device, with its content and time."""
    found = (each for each in device.directory.rglob("*") if each.is_file())
    return {each: (each.read_bytes(), each.stat().st_mtime_ns) for each in found}


def rehearse(device: LocalDevice, words: str = "") -> tuple[int, dict[str, bool], str]:
    """The exit code, whether each need is met, and all that was said."""
    before, asked = files_of(device), len(device.tenant.device(device.device_id)["issued"])
    done = device.run(f"tedge-cert-renew c8y --dry-run {words}")
    assert (files_of(device), len(device.tenant.device(device.device_id)["issued"])) == (before, asked)
    lines = [line.partition(": ")[0].partition(" ") for line in done.stdout.splitlines() if ": " in line]
    return done.exit, {name: sign in ("✓", "ok") for sign, _, name in lines}, done.stdout


def test_all_is_well(local_device: LocalDevice) -> None:
    certify(local_device)
    code, needs, said = rehearse(local_device)
    assert (code, needs) == (0, dict.fromkeys(NEEDS, True))
    assert said.endswith("nothing was asked for and nothing was written\n")


def break_tenant(device: LocalDevice) -> None:
    configure(device, str(device.tenant.server_ca), str(device.tenant.device_ca))


def shut_directory(device: LocalDevice) -> None:
    device.candidate.mkdir()


@pytest.mark.parametrize(
    ("spoil", "missing"),
    [
        (lambda d: certify(d, days=-1, not_before_offset_s=-2 * 86_400), ["certificate", "token"]),
        (lambda d: key_file(d).write_text("garbage"), ["key", "token"]),
        (lambda d: issue(d, d.previous), ["switch"]),
        (shut_directory, ["directory"]),
        (break_tenant, ["authority and clock", "token"]),
    ],
    ids=["expired", "key", "switch", "directory", "tenant"],
)
def test_what_is_missing(local_device: LocalDevice, spoil: Callable[[LocalDevice], object], missing: list[str]) -> None:
    certify(local_device)
    spoil(local_device)
    code, needs, said = rehearse(local_device)
    assert (code, [name for name in NEEDS if not needs[name]]) == (1, missing), said


def test_a_self_signed_one_needs_no_tenant(local_device: LocalDevice) -> None:
    create(local_device, 20)
    code, needs, _ = rehearse(local_device, "--ca self-signed")
    assert (code, needs) == (0, dict.fromkeys(NEEDS[:4], True))
