# SPDX-License-Identifier: Apache-2.0
"""Root drops its rights where another user may choose the path, and regains them afterwards."""

import os
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.disk import files, owners, privileges
from tedge_cert.disk.owners import Access
from tedge_cert.errors import TedgeCertError

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")
DAEMON = Access("daemon", "mail", 0o644)


@pytest.fixture
def as_daemon(mocker: MockerFixture) -> tuple[int, int]:
    """Let user and group daemon, which every Debian has, stand for tedge and mosquitto."""
    mocker.patch.multiple(privileges, USER=DAEMON.user, GROUP=DAEMON.group)
    return owners.account_ids(DAEMON)


def rights() -> tuple[int, int, list[int]]:
    return os.geteuid(), os.getegid(), os.getgroups()


@ROOT
def test_no_more_than_that_user_may(tmp_path: Path, as_daemon: tuple[int, int]) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "theirs").write_text("root's")
    before = rights()
    with privileges.dropped():
        assert rights() == (*as_daemon, [as_daemon[1]])
        with pytest.raises(TedgeCertError, match="Permission denied"):
            files.write(tmp_path / "theirs", b"x", DAEMON)
        with privileges.regained():
            assert rights()[:2] == before[:2]
        assert rights()[:2] == as_daemon
    assert rights() == before
    assert [each.name for each in tmp_path.iterdir()] == ["theirs"]


@ROOT
def test_an_error_does_not_keep_it(as_daemon: tuple[int, int]) -> None:
    before = rights()
    with pytest.raises(KeyError), privileges.dropped(), privileges.regained():
        raise KeyError
    assert rights() == before


@ROOT
def test_nothing_changes_where_it_is_not_wanted(as_daemon: tuple[int, int]) -> None:
    before = rights()
    with privileges.dropped(wanted=False), privileges.regained():
        assert rights() == before


def test_nothing_changes_without_the_accounts(mocker: MockerFixture) -> None:
    mocker.patch.object(privileges, "USER", "no-such-user")
    before = rights()
    with privileges.dropped():
        assert rights() == before


@ROOT
def test_owners_are_mended_in_their_owners_directory_alone(tmp_path: Path, as_daemon: tuple[int, int]) -> None:
    ours, others = tmp_path / "ours", tmp_path / "others"
    for each in (ours, others):
        each.mkdir()
        (each / "file").write_bytes(b"")
    os.chown(ours, *as_daemon)
    (ours / "directory").symlink_to(others)
    (ours / "linked").symlink_to(others / "file")
    os.link(others / "file", ours / "hard")
    for path in ("ours/file", "others/file", "ours/directory/file", "ours/linked", "ours/hard", "ours/missing"):
        owners.adapt(tmp_path / path, DAEMON)
    facts = (ours / "file").stat()
    assert (facts.st_uid, facts.st_gid, facts.st_mode & 0o777) == (*as_daemon, 0o644)
    assert (others / "file").stat().st_uid == 0


@ROOT
def test_a_directory_is_mended_unless_it_is_a_link(tmp_path: Path, as_daemon: tuple[int, int]) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "target")
    for name in ("a", "b", "missing"):
        owners.adapt(tmp_path / name, DAEMON, fixed=True)
    assert [(tmp_path / each).stat().st_uid for each in ("a", "target")] == [as_daemon[0], 0]
