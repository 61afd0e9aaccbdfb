# SPDX-License-Identifier: Apache-2.0
"""A tenant that has an IPv6 address and nothing else."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenant.client import Tenant
from unit.local_device import LocalDevice

DAY_S = 86_400


@pytest.fixture
def device(tmp_path: Path) -> Iterator[LocalDevice]:
    """A device that knows its tenant as [::1]."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with Tenant.start(tmp_path / "tenant", ["::1"], "::1") as tenant:
        made = LocalDevice(tmp_path / "device", tenant)
        yield made
        made.stop_broker()


def test_registers_connects_and_renews(device: LocalDevice) -> None:
    device.tenant.settings(lifetime_s=DAY_S)
    registered = device.register()
    assert registered.exit == 0, registered
    assert f"with [::1]:{device.tenant.http_port}" in registered.stderr
    assert device.connect().exit == 0
    device.tenant.settings(lifetime_s=2 * DAY_S)
    renewed = device.run("tedge-cert-renew c8y")
    assert "token received through the bridge" in renewed.stderr
    verified = device.run("tedge-cert-verify c8y")
    assert verified.exit == 0, verified
    assert "confirmed: the bridge is connected with it" in verified.stderr
