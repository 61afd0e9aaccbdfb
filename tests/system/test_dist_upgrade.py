# SPDX-License-Identifier: Apache-2.0
"""A connected device on its way to the next Debian. It needs Debian's archive and minutes: make test-dist-upgrade."""

import time
from pathlib import Path

import pytest

from system import trees
from system.device import Device
from system.installing import altered
from system.machine import say
from system.onboarding import TENANT, connect, introduce
from system.renewer import TIMER, serial, start
from tenant.client import Tenant

HERE = "127.0.0.1"
# The lists of testing are valid for a week only, and a mirror may lag behind.
_APT = (
    "DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Options::=--force-confold "
    "-o Acquire::Check-Valid-Until={valid}"
)
_MODULES = "find /usr/lib/tedge-cert-renewer -name '*.pyc'"
_VERSIONS = "dpkg-query --show systemd mosquitto python3 python3-cryptography python3-paho-mqtt openssl"


@pytest.mark.archive
@pytest.mark.parametrize(
    ("before", "after", "interpreters"),
    [
        ("bookworm", "trixie", ("cpython-311", "cpython-313")),
        ("trixie", trees.NEXT, ("cpython-313", "cpython-314")),
    ],
    ids=["12-to-13", "13-to-testing"],
)
def test_to_the_next_debian(
    package: Path, tmp_path: Path, before: str, after: str, interpreters: tuple[str, str]
) -> None:
    layers = trees.installed(before, package)
    with Tenant.start(tmp_path / "tenant", [TENANT, HERE], HERE) as tenant, Device(layers, network="host") as device:
        introduce(device, tenant, HERE)
        connect(device, tenant)
        upgrade(device, before, after)
        start_broker(device)
        tenant.wait_connected(device.name)
        check_upgraded(device, *interpreters)
        check_renewal(device, tenant, 366)
        device.reboot()
        tenant.wait_connected(device.name)
        check_renewal(device, tenant, 467)


def upgrade(device: Device, before: str, after: str) -> None:
    """Upgrade all packages, and tell what became of those that matter here."""
    apt = _APT.format(valid=str(after != trees.NEXT).lower())
    versions, began = device.run(_VERSIONS).stdout, time.monotonic()
    device.run(f"sed -i s/{before}/{after}/g /etc/apt/sources.list /etc/apt/sources.list.d/* || true", check=False)
    device.run(f"{apt} update", timeout_s=300)
    device.run(f"{apt} full-upgrade 2>&1", timeout_s=1800)
    say(f"from\n{versions}to, in {time.monotonic() - began:.0f} s,\n{device.run(_VERSIONS).stdout}")
    assert f"VERSION_CODENAME={after}\n" in device.read("/etc/os-release")


def start_broker(device: Device) -> None:
    """Start the broker if Debian's upgrade has left it stopped.

    libpicohttpparser1 1.2+ds-2 lets the trigger of ldconfig make the link that mosquitto 2.1 needs, and that runs after
    mosquitto was restarted in vain.
    """
    if device.run("systemctl is-active mosquitto", check=False).exit_code:
        say("the upgrade has left mosquitto stopped")
        device.run("systemctl reset-failed mosquitto && systemctl start mosquitto")


def check_upgraded(device: Device, former: str, present: str) -> None:
    assert device.unit(TIMER, "ActiveState", "UnitFileState") == {"ActiveState": "active", "UnitFileState": "enabled"}
    compiled = device.run(_MODULES).stdout
    assert present in compiled
    assert former not in compiled
    assert altered(device) == []


def check_renewal(device: Device, tenant: Tenant, days: int) -> None:
    """Renew a certificate that has less than ``days`` left, by one that has more: otherwise it would be due again."""
    old = serial(tenant, device)
    tenant.settings(lifetime_s=(days + 100) * 86_400)
    device.run(f"tedge config set certificate.validity.minimum_duration {days}d")
    run = start(device)
    assert run.outcome == "success", run.lines
    tenant.wait_connected(device.name, not_serial=old)
