# SPDX-License-Identifier: Apache-2.0
"""Booted devices, as the system tests have them: where the unit, its confinement and systemd itself matter."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from faults.booted import attacker
from system import conftest as system
from system.conftest import (
    _DEVICES,
    _off,
    _tidy_machine,
    bare,
    connected,
    device,
    devices,
    package,
    release,
    stand,
    stands,
    tenant,
)
from system.device import Device
from system.devices import Devices
from system.onboarding import TENANT, connect, introduce
from tenant.client import Tenant

__all__ = [
    "_off",
    "_tidy_machine",
    "bare",
    "connected",
    "device",
    "devices",
    "package",
    "release",
    "stand",
    "stands",
    "tenant",
]


@dataclass(frozen=True)
class Shared:
    """A connected device that all tests of a module attack, one after the other, and its tenant."""

    devices: Devices
    device: Device
    tenant: Tenant


@pytest.fixture(scope="module")
def shared(release: str, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Boot and connect the device of the module."""
    with ExitStack() as held:
        made = Devices(release, lambda: package)
        held.callback(made.end)
        device = made.make("installed")
        address = device.network.host
        place = tmp_path_factory.mktemp("tenant")
        running = held.enter_context(Tenant.start(place, [TENANT, address], address, token_port=8443))
        introduce(device, running, address)
        device.boot()
        connect(device, running)
        attacker.prepare(device)
        yield Shared(made, device, running)


@pytest.fixture
def target(shared: Shared, request: pytest.FixtureRequest) -> Iterator[Device]:
    """Return the device of the module; afterwards it is as it was before."""
    request.node.stash[_DEVICES] = shared.devices
    yield shared.device
    shared.tenant.clear_faults()
    attacker.restore(shared.device)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip where nothing can be booted; CI must be able to."""
    if item.path.is_relative_to(Path(__file__).parent):
        system.need_machine()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show what the devices of a failed test say of themselves."""
    yield from system.pytest_runtest_makereport(item)
