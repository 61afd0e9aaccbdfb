# SPDX-License-Identifier: Apache-2.0
"""What README says to type on a new device, in its order."""

import re
from pathlib import Path

import pytest

from system.debs import with_common
from system.device import Device
from system.devices import Devices
from system.onboarding import PASSWORD, TENANT
from tenant.client import Tenant

pytestmark = [pytest.mark.own_device, pytest.mark.one_release]

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture
def _off(devices: Devices) -> Device:
    """Begin with a device without our package; its archive needs no network."""
    return devices.make("archive")


def lines_of_block(with_command: str) -> list[str]:
    """Return the commands of the first block with this one in it, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    block = next(each for each in blocks if with_command in each)
    return [line.partition("#")[0].strip() for line in block.splitlines()]


def test_the_lines_of_the_installation_work_as_typed(device: Device, tenant: Tenant, package: Path) -> None:
    """Only the tenant's name and ports, a password that is known, and the lists of the archive are different."""
    for each in with_common(package):
        device.copy_in(each, f"/root/{each.name}")
    device.write("/etc/apt/apt.conf.d/90-test", 'APT::Install-Recommends "false";\nAPT::Get::Assume-Yes "true";\n')
    update, *lines = lines_of_block("tedge connect")
    assert update == "sudo apt update"
    tenant.register("sensor-0815", PASSWORD)
    said = ""
    for line in lines:
        typed = line.replace("example.cumulocity.com", TENANT)
        if "cert download" in line:
            for key, port in (("http", tenant.http_port), ("mqtt", tenant.mqtt_port)):
                device.run(f"tedge config set c8y.{key} {TENANT}:{port}")
            typed += f" --one-time-password {PASSWORD}"
        said = device.run(f"cd /root && {typed}", timeout_s=300).stdout
    assert said.startswith("c8y\nStatus:        healthy\n")
    assert tenant.wait_connected("sensor-0815")
