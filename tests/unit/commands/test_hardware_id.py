# SPDX-License-Identifier: Apache-2.0
"""The device id of a device without a configured one."""

import hashlib
import hmac
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert import processes
from tedge_cert.commands import hardware_id
from tedge_cert.errors import CredentialError

MADE = "3c9c5a9b1f0c4a4e8e0e5f4f2d1b7a60"


@pytest.fixture
def machine(tmp_path: Path, mocker: MockerFixture) -> Path:
    """A machine without a serial number, and with a `systemd-id128` that the test writes."""
    mocker.patch.object(hardware_id, "SERIALS", (tmp_path / "device-tree", tmp_path / "dmi"))
    mocker.patch.object(processes, "PATH", str(tmp_path))
    answer(tmp_path, f"echo {MADE}")
    return tmp_path


def answer(machine: Path, does: str) -> None:
    program = machine / "systemd-id128"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)


def test_a_serial_number_comes_before_the_machine_id(machine: Path) -> None:
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
    (machine / "dmi").write_text(placeholder, encoding="latin-1")
    assert hardware_id.of_this_device() == (MADE, "/etc/machine-id")


def test_the_machine_id_itself_is_not_shown(mocker: MockerFixture) -> None:
    """The id of a device is the same for ever; here it is computed as sd_id128_get_machine_app_specific(3) does."""
    mocker.patch.object(hardware_id, "SERIALS", ())
    try:
        key = bytes.fromhex(Path(hardware_id.MACHINE_ID).read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        pytest.skip("this machine has no machine id")
    made = bytearray(hmac.new(key, bytes.fromhex(hardware_id.APPLICATION), hashlib.sha256).digest()[:16])
    made[6] = made[6] & 0x0F | 0x40
    made[8] = made[8] & 0x3F | 0x80
    assert hardware_id.of_this_device() == (made.hex(), "/etc/machine-id")


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("echo 'Failed to get machine ID: No medium found' >&2; exit 1", "No medium found"),
        ("echo", "it answered '', expected 32 hexadecimal digits"),
        ("", "it answered ''"),
    ],
)
def test_a_device_that_nothing_tells_from_others_has_to_be_named(machine: Path, does: str, said: str) -> None:
    answer(machine, does)
    with pytest.raises(CredentialError, match=said) as raised:
        hardware_id.of_this_device()
    assert str(raised.value).endswith("name it by the credential tedge.device-id")


def test_a_device_without_the_program_has_to_be_named(machine: Path) -> None:
    (machine / "systemd-id128").unlink()
    with pytest.raises(CredentialError, match=r"`systemd-id128` is not installed\): name it by the credential"):
        hardware_id.of_this_device()
