# SPDX-License-Identifier: Apache-2.0
"""Which files root's commands give back to tedge."""

import os
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.config import settings
from tedge_cert.device import ownership
from tedge_cert.device.instance import load_instance
from tedge_cert.disk import owners, privileges
from tedge_cert.disk.lock import locked
from tedge_cert.disk.owners import Access

DAEMON = Access("daemon", "mail", 0o640)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change an owner")
def test_of_the_locks_only_that_of_the_certificate_is_given(tmp_path: Path, mocker: MockerFixture) -> None:
    """User tedge chooses the other names in that directory."""
    mocker.patch.object(settings, "SYSTEM_DIRECTORY", str(tmp_path))
    mocker.patch.object(privileges, "RUN_DIRECTORY", str(tmp_path / "run"))
    (tmp_path / "tedge.toml").touch()
    instance = load_instance("c8y", "", str(tmp_path))
    with locked(instance.certificate, tmp_path / "run"):
        (ours,) = (tmp_path / "run").glob("*.lock")
    (tmp_path / "run/planted.lock").touch()
    mocker.patch.object(owners, "LOCK", DAEMON)
    ownership.restore(instance)
    assert ours.stat().st_uid == owners.account_ids(DAEMON)[0]
    assert (tmp_path / "run/planted.lock").stat().st_uid == 0
