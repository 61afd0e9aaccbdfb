# SPDX-License-Identifier: Apache-2.0
"""Bad input, row by row: its message and exit code; no file changes, and the bridge stays up."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults import answer_authority, answer_files, answer_servers
from faults.answers import Row, Standing, placed, stand, whole_directory
from faults.record import Matrix
from tenant.client import Tenant

pytestmark = pytest.mark.row("Answers")
ROWS = [*answer_files.ROWS, *answer_servers.ROWS, *answer_authority.ROWS]
LINE = re.compile(r"(?:error: |warning: )?[^\n]+\n")


@pytest.fixture(scope="module")
def standing(running_tenant: Tenant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """A connected device for all rows; each leaves it as it was."""
    made = stand(running_tenant, tmp_path_factory.mktemp("answers"))
    yield made
    made.device.stop_broker()
    made.middlebox.stop()
    made.silent.close()
    made.authority.stop()


@pytest.mark.parametrize("row", [pytest.param(each, marks=each.marks, id=each.name) for each in ROWS])
def test_a_row(standing: Standing, row: Row, tenant: Tenant, tmp_path: Path, matrix: Matrix) -> None:
    device = standing.device
    kept = tmp_path / "kept"
    shutil.copytree(device.directory, kept, symlinks=True)
    try:
        row.arrange(standing)
        before = whole_directory(device.directory)
        evictions = tenant.device(device.device_id)["evictions"]
        for words, code in row.commands.items():
            with matrix.case(f"{row.name}: {words}"):
                done = device.run(placed(words, standing), DEVICE_ONE_TIME_PASSWORD="never-printed")
                said = matrix.said(done.stderr)
                assert done.exit == code, done
                assert row.said(standing) in said, done
                assert "never-printed" not in said + done.stdout
                assert all(LINE.fullmatch(each) for each in said.splitlines(keepends=True)), done
                if not row.changes:
                    assert whole_directory(device.directory) == before
        assert standing.middlebox.heard == b""
        assert row.evicts or tenant.device(device.device_id)["evictions"] == evictions
    finally:
        tenant.clear_faults()
        standing.restore(kept)
    tenant.wait_connected(device.device_id)
