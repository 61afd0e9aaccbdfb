# SPDX-License-Identifier: Apache-2.0
"""Root gives owners back below one directory, and takes over what another user could write; it follows no link."""

import os
import subprocess
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.disk import owners
from tedge_cert.disk.owners import Access, Claimed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change an owner")
DAEMON = Access("daemon", "mail", 0o644)
KEY = b"-----BEGIN PRIVATE KEY-----\n"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A directory of another user, with whatever that user likes in it."""
    directory, others = tmp_path / "theirs", tmp_path / "others"
    for each in (directory, others):
        each.mkdir()
        (each / "file").write_bytes(b"content")
    os.chown(directory, *owners.account_ids(DAEMON))
    (directory / "linked").symlink_to(others / "file")
    (directory / "away").symlink_to(others)
    os.link(others / "file", directory / "hard")
    os.mkfifo(directory / "pipe")
    return directory


def facts(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid, found.st_mode & 0o777


def test_only_plain_files_are_given(theirs: Path) -> None:
    names = ("file", "linked", "away", "hard", "pipe", "missing", "../others/file")
    before = facts(theirs.parent / "others" / "file")
    owners.restore(theirs, dict.fromkeys(names[:-1], DAEMON))
    assert facts(theirs / "file") == (*owners.account_ids(DAEMON), 0o644)
    assert facts(theirs.parent / "others" / "file") == before
    assert facts(theirs / "pipe")[0] == 0


def test_a_link_in_place_of_the_directory_is_not_followed(theirs: Path, tmp_path: Path) -> None:
    (tmp_path / "swapped").symlink_to(tmp_path / "others")
    owners.restore(tmp_path / "swapped", {"file": DAEMON})
    assert facts(tmp_path / "others" / "file")[0] == 0


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


def test_what_another_user_could_write_becomes_roots(theirs: Path) -> None:
    (theirs / "mapper").mkdir()
    (theirs / "mapper" / "mapper.toml").write_bytes(b"[c8y]\n")
    (theirs / "mapper" / "mapper.toml").chmod(0o666)
    os.chown(theirs / "file", *owners.account_ids(DAEMON))
    with (theirs / "file").open("r+b") as still_open:
        claimed = owners.claim(theirs)
        # A process of that user still has the old file; what root reads is a copy.
        still_open.write(b"CHANGED")
    assert claimed == Claimed(
        (theirs / "file", theirs / "mapper" / "mapper.toml"),
        tuple(theirs / each for each in ("away", "hard", "linked", "pipe")),
    )
    assert (facts(theirs)[0], facts(theirs / "file")) == (0, (0, 0, 0o644))
    assert (theirs / "file").read_bytes() == b"content"
    assert facts(theirs / "mapper" / "mapper.toml") == (0, 0, 0o644)
    assert sorted(each.name for each in theirs.iterdir() if each.name.endswith(".ignored")) == [
        "away.ignored", "hard.ignored", "linked.ignored", "pipe.ignored",
    ]  # fmt: skip


def test_what_is_roots_already_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "file").chmod(0o600)
    inode = (tmp_path / "file").stat().st_ino
    assert owners.claim(tmp_path) == Claimed()
    assert ((tmp_path / "file").stat().st_ino, facts(tmp_path / "file")[2]) == (inode, 0o600)


@pytest.mark.parametrize(("mode", "only"), [(0o644, True), (0o666, False), (0o664, False)])
def test_a_file_is_only_roots(tmp_path: Path, mode: int, only: bool) -> None:
    path = Path("/etc/passwd") if only else tmp_path / "file"
    if not only:
        path.write_bytes(b"")
        path.chmod(mode)
    assert owners.is_only_roots(path) is only


def test_a_file_below_a_directory_that_others_write_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    tmp_path.chmod(0o777)
    assert not owners.is_only_roots(tmp_path / "file")
    tmp_path.chmod(0o700)
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert not owners.is_only_roots(tmp_path / "link")
