# SPDX-License-Identifier: Apache-2.0
"""Root gives owners back below one directory, and takes over what another user could write; it follows no link."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.deadline import bounded
from tedge_cert.disk import owners
from tedge_cert.disk.claim import Claimed, claim
from tedge_cert.disk.owners import Access

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change an owner")
DAEMON = Access("daemon", "mail", 0o644)
KEY = b"-----BEGIN PRIVATE KEY-----\n"


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Path]:
    """A directory of another user, with whatever that user likes in it; a test that a pipe holds up fails."""
    directory, others = tmp_path / "theirs", tmp_path / "others"
    for each in (directory, others):
        each.mkdir()
        (each / "file").write_bytes(b"content")
    os.chown(directory, *owners.account_ids(DAEMON))
    (directory / "linked").symlink_to(others / "file")
    (directory / "away").symlink_to(others)
    os.link(others / "file", directory / "hard")
    os.mkfifo(directory / "pipe")
    with bounded(20, "the test"):
        yield directory


def facts(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid, found.st_mode & 0o777


def test_only_plain_files_are_given(theirs: Path) -> None:
    before = facts(theirs.parent / "others" / "file")
    owners.restore(theirs, dict.fromkeys(("file", "linked", "away", "hard", "pipe", "missing"), DAEMON))
    assert facts(theirs / "file") == (*owners.account_ids(DAEMON), 0o644)
    assert facts(theirs.parent / "others" / "file") == before
    assert facts(theirs / "pipe")[0] == 0


def test_a_link_in_place_of_the_directory_is_not_followed(theirs: Path, tmp_path: Path) -> None:
    (tmp_path / "swapped").symlink_to(tmp_path / "others")
    owners.restore(tmp_path / "swapped", {"file": DAEMON})
    assert facts(tmp_path / "others" / "file")[0] == 0
    # A pipe there holds nobody up.
    owners.restore(theirs / "pipe", {"file": DAEMON})


def test_a_file_that_is_bound_over_a_name_is_not_given(theirs: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"root's")
    mounted = subprocess.run(
        ["mount", "--bind", tmp_path / "secret", theirs / "file"], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no mounts here")
    try:
        owners.restore(theirs, {"file": DAEMON})
        assert facts(tmp_path / "secret")[0] == 0
    finally:
        subprocess.run(["umount", theirs / "file"], check=True)


def test_a_key_never_gets_a_wider_mode(theirs: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(owners, "PRIVATE_KEY", Access("daemon", "mail", 0o640))
    (theirs / "file").write_bytes(b"-----BEGIN CERTIFICATE-----\n" + KEY)
    owners.restore(theirs, {"file": DAEMON})
    assert facts(theirs / "file")[2] == 0o640


@pytest.mark.parametrize(("before", "after"), [(0o600, 0o600), (0o640, 0o640), (0o644, 0o640)])
def test_a_key_in_another_role_keeps_a_narrow_mode(
    theirs: Path, mocker: MockerFixture, before: int, after: int
) -> None:
    mocker.patch.object(owners, "PRIVATE_KEY", Access("daemon", "mail", 0o640))
    (theirs / "file").write_bytes(b"-----BEGIN CERTIFICATE-----\n" * 4000 + KEY)
    (theirs / "file").chmod(before)
    owners.restore(theirs, {"file": DAEMON})
    assert facts(theirs / "file")[2] == after


def test_what_another_user_could_write_becomes_roots(theirs: Path) -> None:
    (theirs / "mapper").mkdir()
    (theirs / "mapper" / "mapper.toml").write_bytes(b"[c8y]\n")
    (theirs / "mapper" / "mapper.toml").chmod(0o666)
    os.chown(theirs / "file", *owners.account_ids(DAEMON))
    with (theirs / "file").open("r+b") as still_open:
        claimed = claim(theirs)
        # A process of that user still has the old file; what root reads is a copy.
        still_open.write(b"CHANGED")
    assert claimed == Claimed(
        (theirs / "file", theirs / "mapper" / "mapper.toml"),
        tuple(theirs / f"{each}.ignored" for each in ("away", "hard", "linked", "pipe")),
    )
    assert (facts(theirs)[0], facts(theirs / "file")) == (0, (0, 0, 0o644))
    assert (theirs / "file").read_bytes() == b"content"
    assert facts(theirs / "mapper" / "mapper.toml") == (0, 0, 0o644)
    assert sorted(each.name for each in theirs.iterdir() if each.name.endswith(".ignored")) == [
        "away.ignored", "hard.ignored", "linked.ignored", "pipe.ignored",
    ]  # fmt: skip


def test_a_directory_that_others_can_write_is_shut(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    claim(tmp_path)
    assert facts(tmp_path) == (0, 0, 0o755)


def test_what_is_roots_already_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "file").chmod(0o600)
    inode = (tmp_path / "file").stat().st_ino
    assert claim(tmp_path) == Claimed()
    assert ((tmp_path / "file").stat().st_ino, facts(tmp_path / "file")[2]) == (inode, 0o600)


def _occupied(directory: Path) -> None:
    os.mkfifo(directory / "a.conf")
    (directory / "a.conf.ignored").mkdir()


def _deep(directory: Path) -> None:
    at = os.open(directory, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("a", dir_fd=at)
        below = os.open("a", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


def _large(directory: Path) -> None:
    (directory / "a.conf").touch()
    os.truncate(directory / "a.conf", 1 << 30)
    os.chown(directory / "a.conf", *owners.account_ids(DAEMON))


def _long(directory: Path) -> None:
    os.mkfifo(directory / ("a" * 255))
    (directory / ("b" * 255)).touch()
    os.chown(directory / ("b" * 255), *owners.account_ids(DAEMON))


@pytest.mark.parametrize("left", [_occupied, _deep, _large, _long])
def test_nothing_that_lies_there_keeps_the_rest_from_becoming_roots(
    tmp_path: Path, left: Callable[[Path], None]
) -> None:
    (tmp_path / "z.conf").write_bytes(b"user root\n")
    os.chown(tmp_path / "z.conf", *owners.account_ids(DAEMON))
    left(tmp_path)
    claimed = claim(tmp_path)
    assert tmp_path / "z.conf" in claimed.files
    assert facts(tmp_path / "z.conf")[0] == 0
    assert len(claimed.moved) == 1
    # What was moved aside fills no disk.
    assert sum(each.lstat().st_blocks for each in tmp_path.iterdir()) < 1000


def test_a_directory_that_is_a_link_is_moved_aside(tmp_path: Path, theirs: Path) -> None:
    (tmp_path / "conf").symlink_to(theirs)
    assert claim(tmp_path, only=["conf"]) == Claimed(moved=(tmp_path / "conf.ignored",))
    assert not (tmp_path / "conf").exists()


@pytest.mark.parametrize("roots", [True, False])
def test_a_link_that_only_root_can_make_is_followed(
    tmp_path: Path, theirs: Path, mocker: MockerFixture, roots: bool
) -> None:
    (tmp_path / "tedge").symlink_to(theirs)
    os.chown(theirs / "file", *owners.account_ids(DAEMON))
    mocker.patch.object(owners, "is_only_roots", lambda path: roots and path == tmp_path)
    claimed = claim(tmp_path / "tedge", only=["file"])
    assert claimed.files == ((tmp_path / "tedge" / "file",) if roots else ())
    assert (facts(theirs)[0] == 0) is roots


def test_what_is_moved_aside_changes_no_other_file(theirs: Path) -> None:
    """What a link leads to, and the file of a second name, keep their owner and group."""
    target = theirs.parent / "others" / "file"
    os.chown(target, *owners.account_ids(DAEMON))
    claim(theirs)
    assert facts(target)[:2] == owners.account_ids(DAEMON)
    assert facts(theirs / "linked.ignored")[0] == 0


def test_no_copy_is_written_through_a_link(theirs: Path, mocker: MockerFixture) -> None:
    """One whose name was foreseen."""
    mocker.patch.object(os, "urandom", return_value=bytes(4))
    os.chown(theirs / "file", *owners.account_ids(DAEMON))
    (theirs / ".file.00000000.tmp").symlink_to(theirs.parent / "others" / "planted")
    with pytest.raises(FileExistsError):
        claim(theirs, only=["file"])
    assert not (theirs.parent / "others" / "planted").exists()


def test_a_file_that_grows_is_not_copied_to_its_end(theirs: Path, mocker: MockerFixture) -> None:
    def grow(size: int) -> bytes:
        """The name of the copy is made after the file was looked at."""
        with (theirs / "file").open("ab") as file:
            file.write(bytes(3 << 20))
        return bytes(size)

    os.chown(theirs / "file", *owners.account_ids(DAEMON))
    mocker.patch.object(os, "urandom", grow)
    claim(theirs, only=["file"])
    assert (theirs / "file").stat().st_size == 1 << 20


def test_a_copy_stays_secret(theirs: Path) -> None:
    os.chown(theirs / "file", *owners.account_ids(DAEMON))
    (theirs / "file").chmod(0o640)
    claim(theirs)
    assert facts(theirs / "file") == (*owners.account_ids(owners.BROKER_SECRET), 0o640)


@pytest.mark.parametrize(("mode", "only"), [(0o644, True), (0o666, False), (0o664, False)])
def test_a_file_is_only_roots(tmp_path: Path, mode: int, only: bool) -> None:
    path = Path("/etc/passwd") if only else tmp_path / "file"
    if not only:
        path.write_bytes(b"")
        path.chmod(mode)
    assert owners.is_only_roots(path) is only


def test_a_file_of_another_user_and_none_are_not_only_roots(mocker: MockerFixture) -> None:
    """Each part of the path is looked at: here all others are root's."""
    real = Path.lstat
    facts = list(real(Path("/etc/passwd")))
    facts[4] = 1
    mocker.patch.object(Path, "lstat", lambda path: os.stat_result(facts) if path.name == "passwd" else real(path))
    assert not owners.is_only_roots(Path("/etc/passwd"))
    assert not owners.is_only_roots(Path("/etc/no-such-file"))


def test_a_file_below_a_directory_that_others_write_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    tmp_path.chmod(0o777)
    assert not owners.is_only_roots(tmp_path / "file")
    tmp_path.chmod(0o700)
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert not owners.is_only_roots(tmp_path / "link")
