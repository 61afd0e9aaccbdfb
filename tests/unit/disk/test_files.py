# SPDX-License-Identifier: Apache-2.0
"""Writes that succeed as a whole or change nothing, and their errors."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert import cures
from tedge_cert.disk import files
from tedge_cert.disk.owners import Access
from tedge_cert.errors import TedgeCertError

PLAIN = Access("no-such-user", "no-such-group", 0o640)
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
NOT_ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


def tree(directory: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in directory.iterdir()}


@pytest.mark.parametrize("act", [files.write, files.create])
def test_puts_a_file_there(tmp_path: Path, act: Any) -> None:
    act(tmp_path / "key.pem", b"content", PLAIN)
    assert tree(tmp_path) == {"key.pem": b"content"}
    assert (tmp_path / "key.pem").stat().st_mode & 0o7777 == 0o640


def test_replaces_what_is_there_by_another_file(tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        files.write(path, b"new", PLAIN)
        assert reader.read() == b"old"
    assert tree(tmp_path) == {"cert.pem": b"new"}


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "cert.pem"
    target.write_bytes(b"theirs")
    path.symlink_to(target)
    files.write(path, b"ours", PLAIN)
    assert tree(tmp_path) == {"target": b"theirs", "cert.pem": b"ours"}


@pytest.mark.parametrize("link", [False, True])
def test_creating_overwrites_nothing(tmp_path: Path, link: bool) -> None:
    path = tmp_path / "key.pem"
    if link:
        path.symlink_to(tmp_path / "dangling")
    else:
        path.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        files.create(path, b"new", PLAIN)
    assert [each.name for each in tmp_path.iterdir()] == ["key.pem"]
    assert path.is_symlink() == link
    assert link or path.read_bytes() == b"old"


def test_the_mode_is_final_before_the_name_is(tmp_path: Path, mocker: MockerFixture) -> None:
    seen = []
    rename = Path.rename

    def watch(source: Path, target: Path) -> Path:
        seen.append((source.stat().st_mode & 0o777, source.read_bytes(), source.parent == target.parent))
        return rename(source, target)

    mocker.patch.object(Path, "rename", watch)
    files.write(tmp_path / "key.pem", b"secret", PLAIN)
    assert seen == [(0o640, b"secret", True)]


def test_syncs_the_file_then_renames_then_syncs_the_directory(tmp_path: Path, mocker: MockerFixture) -> None:
    steps: list[str] = []
    sync, rename = os.fsync, Path.rename

    def note_sync(descriptor: int) -> None:
        steps.append("directory" if Path(f"/proc/self/fd/{descriptor}").resolve() == tmp_path else "file")
        sync(descriptor)

    def note_rename(source: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(source, target)

    mocker.patch("tedge_cert.disk.files.os.fsync", note_sync)
    mocker.patch.object(Path, "rename", note_rename)
    files.write(tmp_path / "a", b"x", PLAIN)
    assert steps == ["file", "rename", "directory"]
    steps.clear()
    assert files.remove(tmp_path / "a")
    assert steps == ["directory"]


FAULTS = [
    (errno.ENOSPC, "No space left on device; nothing was changed there; free some space"),
    (errno.EROFS, "Read-only file system; nothing was changed there; .*ReadWritePaths="),
    (errno.EIO, "Input/output error; nothing was changed there; check the file system"),
    (errno.EACCES, "Permission denied; nothing was changed there; `sudo chown tedge:mosquitto "),
]


@pytest.mark.parametrize("where", ["os.open", "os.fsync", "os.fchmod", "Path.rename", "os.link"])
@pytest.mark.parametrize(("number", "said"), FAULTS)
def test_a_failed_write_leaves_all_as_it_was(
    tmp_path: Path, mocker: MockerFixture, where: str, number: int, said: str
) -> None:
    path = tmp_path / "cert.pem"
    act = files.create if where == "os.link" else files.write
    before = {} if where == "os.link" else {"cert.pem": b"old"}
    if before:
        path.write_bytes(b"old")
    mocker.patch(f"tedge_cert.disk.files.{where}", side_effect=OSError(number, os.strerror(number)))
    # The directory of the tests may lie below /dev.
    mocker.patch.object(cures, "_ROOTS", ())
    with pytest.raises(TedgeCertError, match=f"cannot write {path}: {said}"):
        act(path, b"new", PLAIN)
    mocker.stopall()
    assert tree(tmp_path) == before


def test_a_directory_that_cannot_be_synced_is_an_error(tmp_path: Path, mocker: MockerFixture) -> None:
    sync = mocker.patch("tedge_cert.disk.files.os.fsync", side_effect=[None, OSError(errno.EIO, "Input/output error")])
    with pytest.raises(TedgeCertError, match=f"cannot sync {tmp_path}: Input/output error; the last change"):
        files.write(tmp_path / "a", b"x", PLAIN)
    assert sync.call_count == 2


@pytest.mark.parametrize(("name", "said"), [("missing/a", "create the directory"), ("dir", "Is a directory")])
def test_places_where_nothing_can_be_written(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "dir").mkdir()
    with pytest.raises(TedgeCertError, match=said):
        files.write(tmp_path / name, b"x", PLAIN)
    assert [each.name for each in tmp_path.iterdir()] == ["dir"]


@NOT_ROOT
def test_a_directory_of_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(TedgeCertError, match="run this command as root"):
        files.write(tmp_path / "a", b"x", PLAIN)


def test_removing_says_whether_there_was_something(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert [files.remove(tmp_path / "a"), files.remove(tmp_path / "a")] == [True, False]
    (tmp_path / "dir").mkdir()
    with pytest.raises(TedgeCertError, match=f"cannot write {tmp_path}/dir"):
        files.remove(tmp_path / "dir")


@pytest.mark.parametrize("name", ["cert.pem", "cert[1].pem", "c*.pem"])
def test_only_our_own_leftovers_are_stale(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for _ in range(2):
        files.write_temporary(path, b"x", PLAIN)
    keep = files.write_temporary(tmp_path / "key.pem", b"x", PLAIN)
    others = {f"{name}.tmp", f".{name}.tmp"}
    for each in others:
        (tmp_path / each).write_bytes(b"")
    assert files.remove_stale_temporaries(path) == 2
    assert set(tree(tmp_path)) == {keep.name, *others}
    assert files.remove_stale_temporaries(tmp_path / "missing" / name) == 0


def test_reads_a_regular_file_up_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert files.read_regular(tmp_path / "a", 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        files.read_regular(tmp_path / "a", 4)


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "device", "missing"])
def test_reads_nothing_but_regular_files(tmp_path: Path, kind: str) -> None:
    path = {"device": Path("/dev/zero")}.get(kind, tmp_path / "x")
    if kind == "link":
        (tmp_path / "y").write_bytes(b"secret")
        path.symlink_to(tmp_path / "y")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 (pathlib would open one)
    with pytest.raises(OSError, match=str(path)):
        files.read_regular(path)
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


def test_what_is_not_there_is_no_fault_of_a_read_only_file_system(tmp_path: Path, mocker: MockerFixture) -> None:
    (tmp_path / "there").touch()
    mocker.patch.object(Path, "unlink", side_effect=OSError(errno.EROFS, os.strerror(errno.EROFS)))
    assert files.remove(tmp_path / "not-there") is False
    with pytest.raises(TedgeCertError, match="the file system is read-only here"):
        files.remove(tmp_path / "there")
