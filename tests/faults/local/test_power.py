# SPDX-License-Identifier: Apache-2.0
"""Power cuts at any instant: with any part of the last changes on disk, the next run repairs the device."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from faults.goodness import expect_good
from faults.hourly import DOWNLOAD, RENEW, VERIFY, hour, traced
from faults.record import LostDeviceError, Matrix
from faults.replay import State, states
from faults.syscalls import Call
from tenant.client import Tenant
from unit.connected import certify, configure_bridge, connect, issue, serial_of
from unit.local_device import LocalDevice
from unit.pairs import issue_pair, promote_pair, want_new_keys

PARTS = 4
PASSWORD = "one-time-password"


def contents(device: LocalDevice) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in device.certificate.parent.iterdir()}


def refusing(device: LocalDevice) -> None:
    device.tenant.fault(where="mqtt", do="connack", code=5, serials=[serial_of(device.certificate)])


def clean_run(device: LocalDevice) -> tuple[dict[str, bytes], list[Call]]:
    """A renewal with its bridge, from the request to the confirmation."""
    certify(device)
    connect(device)
    before, calls = contents(device), []
    for words in (RENEW, VERIFY):
        run = traced(device, words)
        assert run.result.exit == 0, run.result
        calls += run.calls
    return before, calls


def undone_run(device: LocalDevice) -> tuple[dict[str, bytes], list[Call]]:
    """A switch that an earlier run left, and whose certificate the tenant refuses."""
    certify(device)
    device.previous.write_bytes(device.certificate.read_bytes())
    issue(device, device.certificate)
    refusing(device)
    before = contents(device)
    run = traced(device, VERIFY)
    assert run.result.exit == 3, run.result
    return before, run.calls


def clean_pair_run(device: LocalDevice) -> tuple[dict[str, bytes], list[Call]]:
    """A renewal with a new key."""
    want_new_keys(device)
    return clean_run(device)


def undone_pair_run(device: LocalDevice) -> tuple[dict[str, bytes], list[Call]]:
    """A switch of certificate and key that an earlier run left, and whose certificate the tenant refuses."""
    certify(device)
    issue_pair(device)
    promote_pair(device)
    refusing(device)
    before = contents(device)
    run = traced(device, VERIFY)
    assert run.result.exit == 3, run.result
    return before, run.calls


RUNS = {"clean": clean_run, "undone": undone_run, "pair": clean_pair_run, "pair undone": undone_pair_run}


def distinct(device: LocalDevice, before: dict[str, bytes], calls: list[Call]) -> list[State]:
    """The states, each once; names of temporary files tell them apart no more than on a device."""
    found = dict.fromkeys(states(str(device.certificate.parent), before, calls))
    return list(found)


def between_the_renames(found: list[State]) -> list[State]:
    """One of the states with a previous key for each that its files have without the temporary ones."""
    lasting = {frozenset(each for each in state if not each[0].endswith(".tmp")): state for state in reversed(found)}
    return [state for state in reversed(lasting.values()) if any(file == "key.pem.previous" for file, _ in state)]


@contextmanager
def device_with(tenant: Tenant, directory: Path, name: str, state: State) -> Iterator[LocalDevice]:
    """A device that boots from what the disk holds; the directory of locks is empty."""
    device = LocalDevice(directory / "device", tenant, name)
    for file, content in state:
        (device.certificate.parent / file).write_bytes(content)
    yield device
    device.stop_broker()


def check_pairs(device: LocalDevice) -> None:
    """Check that each file under its final name is whole, and belongs to the key, or to one beside it.

    Of certificate and previous one may have lost its key: it was refused, or the other one is confirmed.
    """
    names = ("key.pem", "key.pem.new", "key.pem.previous")
    files = [device.certificate.parent / each for each in names if (device.certificate.parent / each).exists()]
    keys = [load_pem_private_key(each.read_bytes(), None).public_key() for each in files]
    lost = []
    for path in (device.certificate, device.candidate, device.previous):
        if path == device.certificate or path.exists():
            try:
                # The next run knows by the public key which of them it is.
                if x509.load_pem_x509_certificate(path.read_bytes()).public_key() not in keys:
                    lost.append(path)
            except (OSError, ValueError) as error:
                raise LostDeviceError(f"{path} after the power cut: {error}") from error
    one_of_two = len(lost) == 1 and lost != [device.candidate] and device.previous.exists()
    if lost and not one_of_two:
        raise LostDeviceError(f"{lost} after the power cut are not of a key")


@pytest.mark.row("Power gone")
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(
    "name", ["clean", "pair", *(pytest.param(each, marks=pytest.mark.whole) for each in ("undone", "pair undone"))]
)
def test_power_gone(tenant: Tenant, tmp_path: Path, matrix: Matrix, name: str, part: int) -> None:
    device = LocalDevice(tmp_path / "traced" / "device", tenant, f"power-{name}-{part}")
    before, calls = RUNS[name](device)
    device.stop_broker()
    found = distinct(device, before, calls)
    # An undoing renames one file, or two.
    assert len(found) > (2 * PARTS if name in ("clean", "pair") else 1)
    if name == "pair" and not matrix.whole:
        found = between_the_renames(found)
        assert len(found) > PARTS
    for number, state in enumerate(found[part::PARTS]):
        told = sorted((file, len(content)) for file, content in state)
        where = tmp_path / str(number)
        with matrix.case(f"{told}"), device_with(tenant, where, device.device_id, state) as booted:
            check_pairs(booted)
            if name == "clean":
                connect(booted)
            elif name == "pair":
                # Until certificate and key fit again, the bridge cannot connect.
                want_new_keys(booted)
                configure_bridge(booted, longest_pause_s=2)
                booted.start_broker()
            after = hour(booted)
            expect_good(booted, f"{told}: {[each.exit for each in after.steps]}\n{after.said}")


@pytest.mark.row("Power gone")
@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_power_gone_while_registering(local_device: LocalDevice, tmp_path: Path, matrix: Matrix, again: bool) -> None:
    """The unit says how to get on, and the same command with a new password gets on."""
    if again:
        certify(local_device)
    before, words = contents(local_device), DOWNLOAD.format(local_device.device_id)
    local_device.tenant.register(local_device.device_id, PASSWORD)
    run = traced(local_device, words, variables={"DEVICE_ONE_TIME_PASSWORD": PASSWORD})
    assert run.result.exit == 0, run.result
    found = distinct(local_device, before, run.calls)
    assert len(found) > 5
    for number, state in enumerate(found if matrix.whole else found[::3]):
        told = sorted((file, len(content)) for file, content in state)
        where = tmp_path / str(number)
        with matrix.case(f"{told}"), device_with(local_device.tenant, where, local_device.device_id, state) as booted:
            after = hour(booted)
            if booted.certificate.exists():
                check_pairs(booted)
            else:
                assert not again
                assert after.result == "exit-code"
                assert "tedge cert download" in after.said
                assert booted.register(f"{PASSWORD}-{number}").exit == 0
                assert hour(booted).result in ("success", "exec-condition")
            expect_good(booted, f"{told}\n{after.said}")
