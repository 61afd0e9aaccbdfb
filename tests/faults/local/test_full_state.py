# SPDX-License-Identifier: Apache-2.0
"""The directory of the results is full: renewals work, and a message names the loss."""

import pytest

from faults.goodness import expect_good
from faults.hourly import hour
from faults.local import test_disk
from faults.local.test_disk import FULL, accepted, mounted
from unit.connected import certify, connect, instance_of, serial_of
from unit.local_device import LocalDevice

pytestmark = test_disk.pytestmark


@pytest.mark.row("Disk")
@pytest.mark.parametrize("kind", FULL)
@pytest.mark.parametrize("refused", [False, True], ids=["renewed", "refused"])
def test_the_state_is_full(local_device: LocalDevice, kind: str, refused: bool) -> None:
    """Renewals work; only the pause after a failure is lost, and a message says so."""
    options, fill = FULL[kind]
    old = certify(local_device)
    connect(local_device)
    state = instance_of(local_device).state_file
    state.parent.mkdir()
    if refused:
        local_device.tenant.fault(where="est", do="status", status=403)
    with mounted(state.parent, options):
        give_back = fill(state.parent, 0)
        run = hour(local_device)
        assert run.result == ("exit-code" if refused else "success"), run.said
        assert f"the result of this run is not kept: cannot write {state}: No space left" in run.said
        assert [each for each in state.parent.iterdir() if "filler" not in each.name] == []
        accepted(local_device)
        give_back()
        local_device.tenant.clear_faults()
        after = hour(local_device)
        # Nothing was stored that would hold the next run back.
        expect_good(local_device, f"{run.said}\n{after.said}")
        assert serial_of(local_device.certificate) != old
