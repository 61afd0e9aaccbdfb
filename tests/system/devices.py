# SPDX-License-Identifier: Apache-2.0
"""The devices of one test: made from the layer wanted, reported on when it fails, ended with it."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from system import trees
from system.device import Device

Layer = Literal["base", "archive", "dependencies", "installed", "tpm", "token"]

_REPORT = """
systemctl --no-pager --full status 'tedge*' mosquitto 2>&1
echo; echo '--- /etc/tedge'; ls -lAR --time-style=full-iso /etc/tedge 2>&1
echo; echo '--- state'; ls -lAR --time-style=full-iso /var/lib/tedge-cert-renewer /run/tedge-cert-renewer 2>&1
echo; echo '--- journal'; journalctl --no-pager --lines=150 2>&1
"""


class Devices:
    """Makes devices of one release."""

    def __init__(self, release: str, package: Callable[[], Path]) -> None:
        self.release = release
        self._package = package  # asked for only by the layers that need it
        self._made: list[Device] = []

    def _layers(self, layer: Layer) -> tuple[Path, ...]:
        if layer == "base":
            return trees.base(self.release)
        build = {
            "archive": trees.archive, "dependencies": trees.dependencies, "installed": trees.installed,
            "tpm": trees.tpm, "token": trees.token,
        }  # fmt: skip
        return build[layer](self.release, self._package())

    def make(
        self,
        layer: Layer = "installed",
        *,
        network: Literal["private", "host"] = "private",
        init: Sequence[str] = (),
        all_of_debian: bool = False,
    ) -> Device:
        """Return a fresh device that is still off; it has systemd unless something else is to be its `init`.

        With `all_of_debian` it boots and reads its units as Debian does, which takes twice as long.
        """
        device = Device(self._layers(layer), network=network, init=init, all_of_debian=all_of_debian)
        self._made.append(device)
        return device

    def boot(self, layer: Layer = "installed", *, network: Literal["private", "host"] = "private") -> Device:
        """Return a fresh device that is up."""
        device = self.make(layer, network=network)
        device.boot()
        return device

    def reports(self) -> list[tuple[str, str]]:
        """Return what each device says of itself: a title and a text."""
        found: list[tuple[str, str]] = []
        for device in self._made:
            if device.container.running:
                said = device.run(_REPORT, check=False)
                found.append((f"device {device.name} ({self.release})", said.stdout + said.stderr))
            else:
                found.append((f"device {device.name} ({self.release}), off", device.container.console()))
        return found

    def end(self) -> None:
        """Take all devices away, whatever becomes of each."""
        with ExitStack() as stack:
            for device in self._made:
                stack.callback(device.end)
