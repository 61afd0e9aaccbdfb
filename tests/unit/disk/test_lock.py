# SPDX-License-Identifier: Apache-2.0
"""One lock per certificate path, between real processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tedge_cert.disk import files, owners
from tedge_cert.disk.lock import locked, locked_file, name_for
from tedge_cert.errors import TedgeCertError
from unit.children import environment_for

pytestmark = pytest.mark.usefixtures("_no_alarm")

CERTIFICATE = Path("/etc/tedge/device-certs/tedge-certificate.pem")
HOLDER = """\
import sys
from pathlib import Path
from tedge_cert.disk.lock import locked
sys.argv[0] = "/usr/bin/tedge-cert-holder"
with locked(Path(sys.argv[1]), Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def holder(directory: Path, certificate: Path = CERTIFICATE) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock until its stdin ends."""
    command = [sys.executable, "-c", HOLDER, str(certificate), str(directory)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment_for(None), **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


def test_a_lock_is_named_after_its_certificate_and_stays(tmp_path: Path) -> None:
    directory = tmp_path / "tedge-cert-renewer"
    with locked(CERTIFICATE, directory):
        assert str(os.getpid()) in (directory / "etc-tedge-device-certs-tedge-certificate.pem.holder").read_text()
    assert (directory / "etc-tedge-device-certs-tedge-certificate.pem.lock").exists()
    assert directory.stat().st_mode & 0o777 == 0o755


def test_who_waits_too_long_names_the_holder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with holder(tmp_path) as process:
        name = f"tedge-cert-holder (process {process.pid})"
        with pytest.raises(TedgeCertError, match="1 s; try again") as raised, locked(CERTIFICATE, tmp_path, 0.1):
            pytest.fail("two hold one lock")
        assert str(raised.value).startswith(f"{name} still works on {CERTIFICATE}")
        assert capfd.readouterr().err == f"waiting for {name} to finish with {CERTIFICATE}\n"


def test_a_holder_without_a_name(tmp_path: Path) -> None:
    with holder(tmp_path):
        next(tmp_path.glob("*.holder")).unlink()
        with pytest.raises(TedgeCertError, match="another process still works"), locked(CERTIFICATE, tmp_path, 0.05):
            pytest.fail("two hold one lock")


def test_who_waits_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        waiting = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(CERTIFICATE), str(tmp_path)],
            text=True,
            env=environment_for(None),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert waiting.stderr is not None
        assert f"(process {process.pid})" in waiting.stderr.readline()
        assert process.stdin is not None
        process.stdin.close()
        process.wait(20)
        assert waiting.communicate(timeout=20)[0] == "held\n"


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.kill()
        process.wait(20)
        with locked(CERTIFICATE, tmp_path, 5):
            assert process.returncode == -9


def test_a_holder_killed_while_it_said_its_name_leaves_nothing(tmp_path: Path) -> None:
    holder_file = tmp_path / "etc-tedge-device-certs-tedge-certificate.pem.holder"
    files.write_temporary(holder_file, b"tedge-cert-ve", owners.HANDOVER)
    with locked(CERTIFICATE, tmp_path):
        assert {each.suffix for each in tmp_path.iterdir()} == {".lock", ".holder"}


def test_no_child_inherits_the_lock(tmp_path: Path) -> None:
    with locked(CERTIFICATE, tmp_path):
        program = "print('up', flush=True); input()"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        child = subprocess.Popen([sys.executable, "-c", program], close_fds=False, **pipes)  # type: ignore[call-overload]
        assert child.stdout.readline() == b"up\n"
    with locked(CERTIFICATE, tmp_path, 0.0):
        child.communicate(b"\n", timeout=20)
    assert child.returncode == 0


def test_another_certificate_has_another_lock(tmp_path: Path) -> None:
    with holder(tmp_path), locked(CERTIFICATE.with_name("other.pem"), tmp_path, 0.0):
        assert len(list(tmp_path.glob("*.lock"))) == 2


def test_an_error_inside_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(CERTIFICATE, tmp_path):
        raise KeyError
    with locked(CERTIFICATE, tmp_path, 0.0):
        assert list(tmp_path.glob("*.lock"))


@pytest.mark.parametrize("spoil", ["no parent", "a link", "a file in its place"])
def test_a_lock_that_cannot_be_opened_says_what_to_do(tmp_path: Path, spoil: str) -> None:
    directory = tmp_path / "run"
    if spoil == "no parent":
        directory = tmp_path / "missing" / "run"
    elif spoil == "a link":
        directory.mkdir()
        (directory / "c.pem.lock").symlink_to(tmp_path / "elsewhere")
    else:
        directory.write_bytes(b"")
    with pytest.raises(TedgeCertError, match=r"cannot open the lock .*, which `sudo systemd-tmpfiles --create"):
        locked(Path("/c.pem"), directory).__enter__()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_lock_that_root_made_serves_its_user(tmp_path: Path) -> None:
    with locked(CERTIFICATE, tmp_path):
        pass
    lock_file = next(tmp_path.glob("*.lock"))
    assert (lock_file.stat().st_uid, lock_file.stat().st_gid) == owners.account_ids(owners.LOCK)
    assert lock_file.stat().st_mode & 0o777 == owners.LOCK.mode


def test_no_other_file_becomes_a_lock(tmp_path: Path) -> None:
    """Not one with a second name in the directory of the locks, and for the lock of root no link."""
    other = tmp_path / "other"
    other.write_bytes(b"")
    other.chmod(0o604)
    (tmp_path / name_for(CERTIFICATE)).hardlink_to(other)
    with locked(CERTIFICATE, tmp_path):
        assert other.stat().st_mode & 0o777 == 0o604
    (tmp_path / "link").symlink_to(other)
    with pytest.raises(TedgeCertError, match="cannot open the lock"), locked_file(tmp_path / "link"):
        pytest.fail("it holds another file")
    assert other.stat().st_mode & 0o777 == 0o604
