# SPDX-License-Identifier: Apache-2.0
"""A connected device on its way from Debian 12 to 13. It needs Debian's archive and minutes: make test-dist-upgrade."""

from pathlib import Path

import pytest

from system import trees
from system.device import Device
from system.installing import altered
from system.onboarding import TENANT, connect, introduce
from system.renewer import TIMER, make_due, serial, start
from tenant.client import Tenant

HERE = "127.0.0.1"
_APT = "DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Options::=--force-confold"
_MODULES = "find /usr/lib/tedge-cert-renewer -name '*.pyc'"


@pytest.mark.archive
def test_from_debian_12_to_13(package: Path, tmp_path: Path) -> None:
    layers = trees.installed("bookworm", package)
    with Tenant.start(tmp_path / "tenant", [TENANT, HERE], HERE) as tenant, Device(layers, network="host") as device:
        introduce(device, tenant, HERE)
        connect(device, tenant)
        check_upgrade(device)
        check_renewal(device, tenant)
        device.reboot()
        tenant.wait_connected(device.name)
        check_renewal(device, tenant)


def check_upgrade(device: Device) -> None:
    device.run("sed -i s/bookworm/trixie/g /etc/apt/sources.list /etc/apt/sources.list.d/* || true", check=False)
    device.run(f"{_APT} update", timeout_s=300)
    device.run(f"{_APT} full-upgrade 2>&1", timeout_s=1800)
    assert device.read("/etc/debian_version").startswith("13")
    assert device.unit(TIMER, "ActiveState", "UnitFileState") == {"ActiveState": "active", "UnitFileState": "enabled"}
    compiled = device.run(_MODULES).stdout
    assert "cpython-313" in compiled
    assert "cpython-311" not in compiled
    assert altered(device) == []


def check_renewal(device: Device, tenant: Tenant) -> None:
    old = serial(tenant, device)
    make_due(device)
    run = start(device)
    assert run.outcome == "success", run.lines
    tenant.wait_connected(device.name, not_serial=old)
