# SPDX-License-Identifier: Apache-2.0
"""A file system that is full, out of inodes or read-only at each write: a message, no lost file, cured by space."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faults.goodness import expect_good
from faults.hourly import DOWNLOAD, hour
from faults.record import LostDeviceError, Matrix
from tedge_cert.tenant.proof import prove
from tenant.client import Tenant
from unit.connected import certify, connect, instance_of, issue, key_file, serial_of, tenant_of
from unit.local_device import LocalDevice

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")
PAGE = 4096
# More than a renewal ever holds at once.
ROOM = 16


@contextmanager
def mounted(where: Path, options: str) -> Iterator[None]:
    """A small file system in memory at a directory, with what the directory holds."""
    kept = {each.name: each.read_bytes() for each in where.iterdir()}
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=755,{options}", "tedge-test", str(where)], check=True)
    try:
        for name, content in kept.items():
            (where / name).write_bytes(content)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def fill_space(where: Path, left: int) -> Callable[[], None]:
    """Leave so many pages; what gives the rest back."""
    filler = where / "filler"
    facts = os.statvfs(where)
    filler.write_bytes(bytes((facts.f_bavail - left) * facts.f_frsize))
    assert os.statvfs(where).f_bavail == left
    return filler.unlink


def fill_inodes(where: Path, left: int) -> Callable[[], None]:
    """Leave so many inodes."""
    fillers = [where / f"filler-{number}" for number in range(os.statvfs(where).f_favail - left)]
    for each in fillers:
        each.touch()

    def give_back() -> None:
        for each in fillers:
            each.unlink()

    return give_back


FULL = {
    "space": (f"size={ROOM * PAGE * 2},nr_inodes=100", fill_space),
    "inodes": (f"size=1m,nr_inodes={ROOM * 2}", fill_inodes),
}


def accepted(device: LocalDevice) -> None:
    """The device may have failed, but is not lost meanwhile."""
    verdict = prove(tenant_of(device), device.certificate)
    if not verdict.accepted:
        raise LostDeviceError(verdict.reason)


@pytest.mark.row("Disk")
@pytest.mark.parametrize("kind", FULL)
def test_full_at_each_write(tenant: Tenant, tmp_path: Path, matrix: Matrix, kind: str) -> None:
    options, fill = FULL[kind]
    failed, least, cases = 0, 0, range(9) if matrix.whole else (0, 1, 3, 6)
    for left in cases:
        device = LocalDevice(tmp_path / str(left) / "device", tenant, f"disk-{kind}-{left}")
        certify(device)
        connect(device)
        certs = device.certificate.parent
        with matrix.case(f"{left} left"), mounted(certs, options):
            give_back = fill(certs, left)
            run = hour(device)
            if run.result == "exit-code":
                failed += 1
                assert f"cannot write {certs}/" in run.said
                assert "No space left on device; nothing was changed there; free some space" in run.said
            accepted(device)
            give_back()
            least = max(least, len(os.listdir(certs)))  # noqa: PTH208
            after = hour(device)
            expect_good(device, f"{left} left of {kind}: {run.said}\nthen: {after.said}")
            device.stop_broker()
    # Some were too full, the last was not.
    assert 1 < failed < len(cases)
    assert least <= ROOM


@pytest.mark.row("Disk")
@pytest.mark.parametrize("kind", FULL)
@pytest.mark.parametrize("left", range(3))
def test_full_while_registering(local_device: LocalDevice, matrix: Matrix, kind: str, left: int) -> None:
    options, fill = FULL[kind]
    certs = local_device.certificate.parent
    with mounted(certs, options):
        give_back = fill(certs, left)
        local_device.tenant.register(local_device.device_id, "one-time-password")
        words = DOWNLOAD.format(local_device.device_id)
        done = local_device.run(words, DEVICE_ONE_TIME_PASSWORD="one-time-password")
        matrix.said(done.stderr)
        assert done.exit == 1
        assert "No space left on device" in done.stderr
        assert not local_device.certificate.exists()
        spent = bool(local_device.tenant.device(local_device.device_id)["issued"])
        assert ("as this one is spent" in done.stderr) == spent
        give_back()
        assert local_device.register("another-password").exit == 0
        expect_good(local_device, done.stderr)


@pytest.mark.row("Disk")
@pytest.mark.parametrize("kind", FULL)
def test_run_is_full(local_device: LocalDevice, kind: str) -> None:
    """Names of holders and records of rejections live there; a renewal does not need them."""
    options, fill = FULL[kind]
    certify(local_device)
    connect(local_device)
    run_directory = instance_of(local_device).run_directory
    hour_before = local_device.run("tedge-cert-cleanup c8y")
    assert hour_before.exit == 0
    with mounted(run_directory, options):
        give_back = fill(run_directory, 0)
        run = hour(local_device)
        give_back()
        expect_good(local_device, run.said)
    assert run.result == "success", run.said


@pytest.mark.row("Disk")
def test_a_rejection_that_cannot_be_recorded(local_device: LocalDevice) -> None:
    """The verdict stands; the candidate is then looked at again by the next run."""
    certify(local_device)
    connect(local_device)
    issue(local_device, name="another-device")
    run_directory = instance_of(local_device).run_directory
    local_device.run("tedge-cert-cleanup c8y")
    with mounted(run_directory, FULL["space"][0]):
        give_back = fill_space(run_directory, 0)
        done = local_device.run("tedge-cert-verify c8y")
        give_back()
    assert done.exit == 3, done
    assert "issued to another-device" in done.stderr
    after = hour(local_device)
    expect_good(local_device, after.said)


@pytest.mark.row("Disk")
def test_read_only(local_device: LocalDevice) -> None:
    old = certify(local_device)
    connect(local_device)
    certs = local_device.certificate.parent
    with mounted(certs, "size=1m"):
        subprocess.run(["mount", "-o", "remount,ro", str(certs)], check=True)
        run = hour(local_device)
        assert run.result == "exit-code"
        assert "the file system is read-only here" in run.said
        assert serial_of(local_device.certificate) == old
        accepted(local_device)
        subprocess.run(["mount", "-o", "remount,rw", str(certs)], check=True)
        after = hour(local_device)
        expect_good(local_device, f"{run.said}\n{after.said}")


@pytest.mark.row("Disk")
def test_another_file_system_behind_a_link(local_device: LocalDevice, tmp_path: Path) -> None:
    """The directory of the certificates is a link to a disk of its own."""
    certify(local_device)
    certs, disk = local_device.certificate.parent, tmp_path / "disk"
    certs.rename(disk)
    certs.symlink_to(disk)
    with mounted(disk, "size=1m"):
        connect(local_device)
        run = hour(local_device)
        assert run.result == "success", run.said
        expect_good(local_device, run.said)
        assert certs.is_symlink()
        assert key_file(local_device).exists()
        local_device.stop_broker()
