# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a release, its layers, fresh devices of it, the tenant they talk to."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from system import machine, slots, trees
from system import package as packages
from system.device import Device
from system.devices import Devices
from system.installing import install
from system.onboarding import TENANT, connect, introduce
from system.stands import STATES, Stand, Stands
from tenant.client import Tenant

_DEVICES = pytest.StashKey[Devices]()
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and leave out those that another release runs."""
    ours = [item for item in items if item.path.is_relative_to(_HERE)]
    for item in ours:
        item.add_marker(pytest.mark.system)
    if repeats := [item for item in ours if is_repeat(item)]:
        config.hook.pytest_deselected(items=repeats)
        items[:] = [item for item in items if item not in repeats]


def is_repeat(item: pytest.Item) -> bool:
    """Whether a test marked `one_release` runs on another release; with chosen releases none does."""
    where = getattr(item, "callspec", None)
    marked = item.get_closest_marker("one_release") is not None and "TEDGE_TEST_RELEASES" not in os.environ
    return marked and where is not None and where.params.get("release") != _releases()[-1]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip where nothing can be booted; CI must be able to."""
    if item.path.is_relative_to(_HERE):
        need_machine()


def need_machine() -> None:
    """Skip the test if no device can be booted here; fail where CI runs it."""
    reason = machine.missing()
    if reason is not None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show what the devices of a failed test say of themselves."""
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    if report.failed and report.when != "teardown" and _DEVICES in item.stash:
        report.sections += item.stash[_DEVICES].reports()


def _releases() -> list[str]:
    chosen = os.environ.get("TEDGE_TEST_RELEASES")
    return chosen.replace(",", " ").split() if chosen else list(trees.RELEASES)


@pytest.fixture(scope="session", autouse=True)
def _tidy_machine() -> None:
    """Remove what killed runs left, and what no run has used for long."""
    slots.sweep()
    trees.prune()


@pytest.fixture(scope="session", params=_releases(), ids=lambda name: trees.NAMES[name])
def release(request: pytest.FixtureRequest) -> str:
    """Return the Debian release that the test runs on."""
    return str(request.param)


@pytest.fixture(scope="session")
def package() -> Path:
    """Return the product's Debian package, built from the checkout as it is."""
    return packages.build()


@pytest.fixture(scope="session")
def stands(request: pytest.FixtureRequest) -> Iterator[Stands]:
    """Share devices between the tests of this worker."""
    made = Stands(lambda: request.getfixturevalue("package"))
    yield made
    made.end()


@pytest.fixture
def devices(release: str, request: pytest.FixtureRequest) -> Iterator[Devices]:
    """Give fresh devices of the release; they end with the test."""
    made = Devices(release, lambda: request.getfixturevalue("package"))
    request.node.stash[_DEVICES] = made
    yield made
    made.end()


@pytest.fixture
def stand(release: str, request: pytest.FixtureRequest) -> Stand | None:
    """Return the shared device with its tenant, as new; None for a test that has a device of its own."""
    if request.node.get_closest_marker("own_device") is not None:
        return None
    state = next((each for each in STATES if each in request.fixturenames), "introduced")
    given: Stand = request.getfixturevalue("stands").give(release, state)
    request.node.stash[_DEVICES] = given.devices
    return given


@pytest.fixture
def bare(devices: Devices) -> Device:
    """Return a booted Debian without our package."""
    return devices.boot("base")


@pytest.fixture
def _off(devices: Devices) -> Device:
    """Return a device that is off and has our package: a tenant can listen at its cable."""
    return devices.make("installed")


@pytest.fixture
def tenant(stand: Stand | None, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tenant]:
    """Return a tenant that the test's devices know as tenant.test."""
    if stand is not None:
        yield stand.tenant
        return
    address = request.getfixturevalue("_off").network.host
    with Tenant.start(tmp_path / "tenant", [TENANT, address], address) as running:
        yield running


@pytest.fixture
def device(stand: Stand | None, tenant: Tenant, request: pytest.FixtureRequest) -> Device:
    """Return a booted device with our package that knows and trusts the tenant; nothing is configured."""
    if stand is not None:
        return stand.device
    made: Device = request.getfixturevalue("_off")
    introduce(made, tenant, made.network.host)
    made.boot()
    return made


@pytest.fixture
def connected(stand: Stand | None, device: Device, tenant: Tenant) -> Device:
    """Return a device that is registered under its host name and connected."""
    if stand is None:
        connect(device, tenant)
    return device


@pytest.fixture
def mapped(device: Device) -> Device:
    """Return a device with thin-edge's packages and ours beside them, which thin-edge's mapper connects."""
    return device


@pytest.fixture
def bridged(device: Device) -> Device:
    """Return a device with thin-edge's packages and ours beside them, which mosquitto connects."""
    return device


@pytest.fixture
def before(devices: Devices, theirs: list[Path], tmp_path: Path) -> Iterator[tuple[Device, Tenant]]:
    """A device with thin-edge's packages, which the module builds (`theirs`), and its tenant."""
    device = devices.make("dependencies")
    address = device.network.host
    with Tenant.start(tmp_path / "tenant", [TENANT, address], address) as tenant:
        introduce(device, tenant, address)
        device.boot()
        install(device, *theirs)
        yield device, tenant
