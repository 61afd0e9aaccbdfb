# SPDX-License-Identifier: Apache-2.0
"""A network for each device: a namespace, joined to this machine by one cable that can be pulled.

There is no forwarding and no default route: a device reaches what listens at its cable, nothing else.
"""

import ipaddress
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from system.machine import command

_ALL = ipaddress.ip_network("10.213.0.0/16")
INTERFACE = "eth0"


def ip(*arguments: str) -> str:
    """Run ip(8) on this machine."""
    return command(["ip", *arguments])


@dataclass(frozen=True)
class Network:
    """The network of the device in slot `number`, a /30 of its own."""

    name: str
    number: int

    @property
    def namespace(self) -> Path:
        """Return the path of the network namespace."""
        return Path("/run/netns") / self.name

    def _address(self, index: int) -> str:
        return str(_ALL[4 * self.number + index])

    @property
    def host(self) -> str:
        """Return this machine's address at the cable: a test tenant listens there."""
        return self._address(1)

    @property
    def device(self) -> str:
        """Return the device's address."""
        return self._address(2)

    def create(self) -> None:
        """Make the namespace and the cable, both ends up."""
        inside = ["-n", self.name]
        ip("netns", "add", self.name)
        ip("link", "add", self.name, "type", "veth", "peer", "name", INTERFACE, "netns", self.name)
        ip("address", "add", f"{self.host}/30", "dev", self.name)
        ip(*inside, "address", "add", f"{self.device}/30", "dev", INTERFACE)
        ip("link", "set", self.name, "up")
        ip(*inside, "link", "set", "lo", "up")
        ip(*inside, "link", "set", INTERFACE, "up")

    def cut(self) -> None:
        """Pull the cable: packets are lost without an error; the device keeps its address and routes."""
        ip("link", "set", self.name, "down")

    def restore(self) -> None:
        """Put the cable back."""
        ip("link", "set", self.name, "up")

    def reach(self, address: str) -> None:
        """Let the device reach an address of this machine that is another device's cable end."""
        if address != self.host:
            ip("-n", self.name, "route", "replace", f"{address}/32", "via", self.host, "dev", INTERFACE)

    def delete(self) -> None:
        """Remove namespace and cable, also what an earlier run left of them."""
        if Path("/sys/class/net", self.name).exists():
            ip("link", "delete", self.name)
        if self.namespace.exists():
            ip("netns", "delete", self.name)


@contextmanager
def in_namespace(network: Network, argv: Sequence[str]) -> Iterator[None]:
    """Run a program of this machine, with these tests as its library, in the network of a device."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    with subprocess.Popen(["ip", "netns", "exec", network.name, *argv], env=environment) as process:
        try:
            yield
        finally:
            process.terminate()
