# SPDX-License-Identifier: Apache-2.0
"""Name a device after the serial number of its hardware; without one, after its machine id."""

from pathlib import Path

from tedge_cert import processes
from tedge_cert.config.values import parse_device_id
from tedge_cert.errors import CredentialError, TedgeCertError

# In this order. The second is a copy that systemd-tmpfiles makes, because only root may read the DMI's own.
SERIALS = (
    Path("/sys/firmware/devicetree/base/serial-number"),
    Path("/run/tedge-cert-renewer/dmi-serial"),
)
MACHINE_ID = "/etc/machine-id"
# The machine id itself is not to be shown to others (machine-id(5)); systemd derives an id from it and this one.
APPLICATION = "b2a3a9a6f0b64b0d9a8f6a3f4f1c7d52"
# Manufacturers write these where a number is expected.
_PLACEHOLDERS = ("default", "o.e.m", "oem", "serial", "none", "not ", "unknown", "n/a", "invalid", "xxx", "0123456789")


def of_this_device() -> tuple[str, str]:
    """Return the device id and its source; raises CredentialError if nothing distinguishes this device from others."""
    for path in SERIALS:
        serial = _serial(path)
        if serial:
            return serial, str(path)
    return _of_machine_id(), MACHINE_ID


def _of_machine_id() -> str:
    command = ["systemd-id128", "machine-id", f"--app-specific={APPLICATION}"]
    try:
        done = processes.run(command)
    except TedgeCertError as error:
        raise _nameless(str(error)) from error
    made = done.stdout.strip()
    if done.returncode or len(made) != 32:
        said = " ".join(done.stderr.split()) or f"it answered {made!r}, expected 32 hexadecimal digits"
        raise _nameless(f"`{' '.join(command[:2])}` failed: {said}")
    return made


def _nameless(reason: str) -> CredentialError:
    return CredentialError(
        f"the device has neither a serial number nor a machine id ({MACHINE_ID}; {reason}): name it by the credential "
        "tedge.device-id"
    )


def _serial(path: Path) -> str:
    """Return the number in the file; empty if there is none, or only a placeholder."""
    try:
        text = path.read_bytes().decode("ascii").strip(" \t\r\n\0")
        if len(set(text)) < 2 or any(each in text.lower() for each in _PLACEHOLDERS):
            return ""
        return str(parse_device_id(text))
    except (OSError, ValueError):
        return ""
