# SPDX-License-Identifier: Apache-2.0
"""Whether the broker may read a key, decided only by owner and mode."""

import os
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.disk import owners

NOBODY, NOGROUP, OTHER = 65534, 65534, 12345


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(
    ("user", "group", "mode", "shut"),
    [
        (OTHER, NOGROUP, 0o640, False),
        (OTHER, NOGROUP, 0o604, True),
        (OTHER, OTHER, 0o640, True),
        (OTHER, OTHER, 0o644, False),
        (NOBODY, OTHER, 0o400, False),
        (NOBODY, NOGROUP, 0o040, True),
    ],
)
def test_owner_group_and_others_are_looked_at_in_turn(
    tmp_path: Path, mocker: MockerFixture, user: int, group: int, mode: int, shut: bool
) -> None:
    mocker.patch.object(owners, "BROKER", "nobody")
    key = tmp_path / "key.pem"
    key.touch()
    os.chown(key, user, group)
    key.chmod(mode)
    assert owners.is_shut_to_broker(key) is shut


def test_no_file_and_no_broker_is_nothing_to_tell(tmp_path: Path, mocker: MockerFixture) -> None:
    assert not owners.is_shut_to_broker(tmp_path / "missing")
    mocker.patch.object(owners, "BROKER", "no-such-user")
    assert not owners.is_shut_to_broker(tmp_path)
