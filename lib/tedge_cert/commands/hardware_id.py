# SPDX-License-Identifier: Apache-2.0
"""A name for a device that nobody has named: the serial number of its hardware, else one made of its machine id."""

import hashlib
import hmac
from pathlib import Path

from tedge_cert.config.values import parse_device_id
from tedge_cert.errors import CredentialError

# In this order. The second is a copy that systemd-tmpfiles makes of the DMI's, which is root's to read.
SERIALS = (
    Path("/sys/firmware/devicetree/base/serial-number"),
    Path("/run/tedge-cert-renewer/dmi-serial"),
)
MACHINE_ID = Path("/etc/machine-id")
# `systemd-id128 machine-id --app-specific=` with this id answers the same.
APPLICATION = "b2a3a9a6f0b64b0d9a8f6a3f4f1c7d52"
# What makers write where they should have written a number.
_PLACEHOLDERS = ("default", "o.e.m", "oem", "serial", "none", "not ", "unknown", "n/a", "invalid", "xxx", "0123456789")


def of_this_device() -> tuple[str, str]:
    """The identity and where it comes from; raises CredentialError if nothing tells one device from another."""
    for path in SERIALS:
        serial = _serial(path)
        if serial:
            return serial, str(path)
    try:
        return of_machine_id(MACHINE_ID.read_text(encoding="ascii").strip()), str(MACHINE_ID)
    except (OSError, ValueError) as error:
        raise CredentialError(
            f"the device has neither a serial number nor a machine id ({MACHINE_ID}: {error}): name it by the "
            "credential tedge.device-id"
        ) from error


def of_machine_id(machine_id: str) -> str:
    """A name made of the machine id, which itself is not to be shown to others (machine-id(5))."""
    key = bytes.fromhex(machine_id)
    if len(key) != 16:
        raise ValueError("expected 32 hexadecimal digits")
    made = bytearray(hmac.new(key, bytes.fromhex(APPLICATION), hashlib.sha256).digest()[:16])
    # A random UUID, as sd_id128_get_machine_app_specific(3) makes it.
    made[6] = made[6] & 0x0F | 0x40
    made[8] = made[8] & 0x3F | 0x80
    return made.hex()


def _serial(path: Path) -> str:
    """The number in the file; empty if there is none, or if it is that of every device of its kind."""
    try:
        text = path.read_bytes().decode("ascii").strip(" \t\r\n\0")
        if len(set(text)) < 2 or any(each in text.lower() for each in _PLACEHOLDERS):
            return ""
        return str(parse_device_id(text))
    except (OSError, ValueError):
        return ""
