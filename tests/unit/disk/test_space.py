# SPDX-License-Identifier: Apache-2.0
"""Room for a renewal: read-only, full of bytes, full of files."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytest_mock import MockerFixture

from tedge_cert.disk.space import LEAST_BYTES, space_in


@pytest.mark.parametrize(
    ("facts", "fault", "cure"),
    [
        ({}, "", ""),
        ({"f_files": 0, "f_favail": 0}, "", ""),
        ({"f_bavail": LEAST_BYTES // 4096 - 1}, "1020 KiB and 5 files free", "df -h"),
        ({"f_favail": 0}, "0 files free", "df -h"),
        ({"f_flag": os.ST_RDONLY}, "read-only file system", "findmnt -T"),
    ],
)
def test_room(tmp_path: Path, mocker: MockerFixture, facts: dict[str, int], fault: str, cure: str) -> None:
    full = {"f_bavail": LEAST_BYTES // 4096, "f_frsize": 4096, "f_files": 9, "f_favail": 5, "f_flag": 0}
    mocker.patch.object(os, "statvfs", return_value=SimpleNamespace(**{**full, **facts}))
    space = space_in(tmp_path)
    assert (bool(space.fault), fault in space.fault) == (bool(fault), True)
    assert space.cure.startswith(cure)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        space_in(tmp_path / "nothing")
