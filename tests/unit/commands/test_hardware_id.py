# SPDX-License-Identifier: Apache-2.0
"""A name for a device that nobody has named."""

from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.commands import hardware_id
from tedge_cert.errors import CredentialError

MACHINE_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def machine(tmp_path: Path, mocker: MockerFixture) -> Path:
    """A machine with neither number nor id; both can be put there."""
    mocker.patch.object(hardware_id, "SERIALS", (tmp_path / "device-tree", tmp_path / "dmi"))
    mocker.patch.object(hardware_id, "MACHINE_ID", tmp_path / "machine-id")
    return tmp_path


def test_a_serial_number_comes_before_the_machine_id(machine: Path) -> None:
    (machine / "machine-id").write_text(f"{MACHINE_ID}\n")
    (machine / "dmi").write_text("MZ01AB2C \n")
    assert hardware_id.of_this_device() == ("MZ01AB2C", str(machine / "dmi"))
    # The device tree ends its texts with a zero.
    (machine / "device-tree").write_bytes(b"10000000f3a1b2c4\0")
    assert hardware_id.of_this_device() == ("10000000f3a1b2c4", str(machine / "device-tree"))


NO_NUMBERS = (
    "Default string", "To be filled by O.E.M.", "System Serial Number", "Not Specified", "None", "0000000000", "",
    "\0", "0123456789", "a/b", "\xff",
)  # fmt: skip


@pytest.mark.parametrize("placeholder", NO_NUMBERS)
def test_what_every_device_of_a_kind_says_is_no_name(machine: Path, placeholder: str) -> None:
    (machine / "machine-id").write_text(MACHINE_ID)
    (machine / "dmi").write_text(placeholder, encoding="latin-1")
    identity, source = hardware_id.of_this_device()
    assert source == str(machine / "machine-id")
    assert identity == hardware_id.of_machine_id(MACHINE_ID)


def test_the_machine_id_itself_is_not_shown() -> None:
    # `systemd-id128 --app-specific=… ` of this id; a booted device is asked in the system tests.
    made = hardware_id.of_machine_id(MACHINE_ID)
    assert len(made) == 32
    assert made[12] == "4"
    assert made != MACHINE_ID
    assert made != hardware_id.of_machine_id(MACHINE_ID[::-1])


@pytest.mark.parametrize("text", ["", "uninitialized", "abcd"])
def test_a_device_that_nothing_tells_from_others_has_to_be_named(machine: Path, text: str) -> None:
    (machine / "machine-id").write_text(text)
    with pytest.raises(CredentialError, match=r"tedge\.device-id"):
        hardware_id.of_this_device()
