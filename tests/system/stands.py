# SPDX-License-Identifier: Apache-2.0
"""Share a booted device and its tenant between the tests of a worker: each test gets them as they were at first."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from system.devices import Devices
from system.machine import say
from system.onboarding import TENANT, connect, introduce
from system.shell import CommandError
from system.snapshot import NotRestoredError, Snapshot
from tenant.client import Tenant, TenantError


class Stand:
    """A device of a release that has our package, beside a tenant."""

    def __init__(self, release: str, package: Callable[[], Path]) -> None:
        self._held = ExitStack()
        self.devices = Devices(release, package)
        self._held.callback(self.devices.end)
        self._directory = Path(tempfile.mkdtemp(prefix="tedge-stand-"))
        self._held.callback(shutil.rmtree, self._directory)
        self._snapshots: dict[str, Snapshot] = {}
        self._state = ""
        try:
            self.device = self.devices.make("installed")
            address = self.device.network.host
            self.tenant = Tenant.start(self._directory / "tenant", [TENANT, address], address)
            self._held.callback(self.tenant.stop)
            introduce(self.device, self.tenant, address)
            self.device.boot()
            self._keep("introduced")
        except BaseException:
            self.end()
            raise

    def _keep(self, name: str) -> None:
        self._snapshots[name] = Snapshot(self.device, self._directory / name)
        self.tenant.keep(name)
        self._state = name

    def give(self, *, connected: bool) -> None:
        """Bring device and tenant back to their first state; raises `NotRestoredError` if that cannot be done."""
        if connected and "connected" not in self._snapshots:
            self._restore("introduced")
            connect(self.device, self.tenant)
            self._keep("connected")
        self._restore("connected" if connected else "introduced")
        self._state = ""  # the test may change everything

    def _restore(self, name: str) -> None:
        if self._state == name:
            return
        try:
            self._snapshots[name].restore(lambda: self._forget(name))
            if name == "connected":
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
    """One stand for each release, replaced when a test has left it in a state that has no way back."""

    def __init__(self, package: Callable[[], Path]) -> None:
        self._package = package
        self._made: dict[str, Stand] = {}

    def give(self, release: str, *, connected: bool) -> Stand:
        """Return the stand in its first state."""
        stand = self._made.get(release)
        if stand is not None:
            try:
                stand.give(connected=connected)
            except (NotRestoredError, CommandError) as error:
                say(f"{stand.device.name} is replaced: {error}")
                self._made.pop(release).end()
            else:
                return stand
        made = self._made[release] = Stand(release, self._package)
        made.give(connected=connected)
        return made

    def end(self) -> None:
        """Take all away, whatever becomes of each."""
        with ExitStack() as stack:
            for stand in self._made.values():
                stack.callback(stand.end)
