# SPDX-License-Identifier: Apache-2.0
"""A device with a certificate that it signs itself."""

from unit.connected import configure, serial_of
from unit.local_device import LocalDevice, Result

RENEW = "tedge-cert-renew --ca self-signed"


def upload(device: LocalDevice) -> Result:
    """Make the tenant trust it."""
    return device.run("tedge-cert-upload c8y", C8Y_USER="admin", C8Y_PASSWORD="secret")


def create(device: LocalDevice, days: int = 365, trusted: bool = False) -> str:
    """A self-signed certificate of the device; its serial."""
    text = device.directory / "tedge.toml"
    if "[certificate" not in text.read_text():
        text.write_text(text.read_text() + f'[certificate.validity]\nrequested_duration = "{days}d"\n')
    result = device.run(f"tedge-cert-create --device-id {device.device_id}")
    assert result.exit == 0, result.stderr
    if trusted:
        assert upload(device).exit == 0
    return serial_of(device.certificate) or ""


def lengthen(device: LocalDevice) -> None:
    """Certificates made from now on last a year."""
    configure(device, 'requested_duration = "20d"', 'requested_duration = "365d"')
