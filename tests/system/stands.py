# SPDX-License-Identifier: Apache-2.0
"""Share booted devices and their tenants between the tests of a worker: each test gets them as they were at first."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from system import thin_edge
from system.debs import BESIDE, sibling
from system.device import Device
from system.devices import Devices, Layer
from system.installing import install
from system.machine import say
from system.onboarding import TENANT, connect, introduce
from system.shell import CommandError
from system.snapshot import NotRestoredError, Snapshot
from tenant.client import Tenant, TenantError


@dataclass(frozen=True)
class Kind:
    """What a shared device has installed, and the states that tests find it in, each made from "introduced"."""

    layer: Layer
    install: Callable[[Device, Path, Path], None]
    states: Mapping[str, Callable[[Device, Tenant], None]] = field(default_factory=dict)


def _install_beside(device: Device, package: Path, directory: Path) -> None:
    install(device, *thin_edge.build(directory, agent=True))
    install(device, sibling(package, BESIDE))


# A device with our package, and one with that beside thin-edge's own.
ALONE = Kind("installed", lambda *_: None, {"connected": connect})
BOTH = Kind("dependencies", _install_beside, {"mapped": thin_edge.connect_by_mapper, "bridged": thin_edge.connect})
STATES = (*ALONE.states, *BOTH.states)


class Stand:
    """A device of a release and a kind, beside a tenant."""

    def __init__(self, release: str, package: Callable[[], Path], kind: Kind) -> None:
        self._kind = kind
        self._held = ExitStack()
        self.devices = Devices(release, package)
        self._held.callback(self.devices.end)
        self._directory = Path(tempfile.mkdtemp(prefix="tedge-stand-"))
        self._held.callback(shutil.rmtree, self._directory)
        self._snapshots: dict[str, Snapshot] = {}
        self._state = ""
        try:
            self.device = self.devices.make(kind.layer)
            address = self.device.network.host
            self.tenant = Tenant.start(self._directory / "tenant", [TENANT, address], address)
            self._held.callback(self.tenant.stop)
            introduce(self.device, self.tenant, address)
            self.device.boot()
            kind.install(self.device, package(), self._directory)
            self._keep("introduced")
        except BaseException:
            self.end()
            raise

    def _keep(self, name: str) -> None:
        self._snapshots[name] = Snapshot(self.device, self._directory / name)
        self.tenant.keep(name)
        self._state = name

    def give(self, state: str) -> None:
        """Bring device and tenant into a state; raises `NotRestoredError` if that cannot be done."""
        if state not in self._snapshots:
            self._restore("introduced")
            self._kind.states[state](self.device, self.tenant)
            self._keep(state)
        self._restore(state)
        self._state = ""  # the test may change everything

    def _restore(self, name: str) -> None:
        if self._state == name:
            return
        try:
            self._snapshots[name].restore(lambda: self._forget(name))
            if name != "introduced":
                self.tenant.wait_connected(self.device.name)
        except (TenantError, OSError) as error:
            raise NotRestoredError(str(error)) from error

    def _forget(self, name: str) -> None:
        """Reset the tenant while the broker is stopped, so that the old connection is not counted."""
        self.tenant.wait_disconnected(self.device.name)
        self.tenant.restore(name)

    def end(self) -> None:
        """Take device and tenant away."""
        self._held.close()


class Stands:
    """One stand for each release and kind, replaced when a test has left it in a state that has no way back."""

    def __init__(self, package: Callable[[], Path]) -> None:
        self._package = package
        self._made: dict[tuple[str, bool], Stand] = {}

    def give(self, release: str, state: str) -> Stand:
        """Return the stand that can be in this state, in it."""
        kind = BOTH if state in BOTH.states else ALONE
        key = release, kind is BOTH
        stand = self._made.get(key)
        if stand is not None:
            try:
                stand.give(state)
            except (NotRestoredError, CommandError) as error:
                say(f"{stand.device.name} is replaced: {error}")
                self._made.pop(key).end()
            else:
                return stand
        made = self._made[key] = Stand(release, self._package, kind)
        made.give(state)
        return made

    def end(self) -> None:
        """Take all away, whatever becomes of each."""
        with ExitStack() as stack:
            for stand in self._made.values():
                stack.callback(stand.end)
