# SPDX-License-Identifier: Apache-2.0
"""A numbered place for each device of this machine, free of what a killed run left in it.

The holder of a place's lock is alive. A lock that can be taken has no holder, and everything that
carries the place's name is then a leftover.
"""

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from system import cgroups, container
from system.machine import cache_directory
from system.network import Network

PREFIX = "tcr-"
_PLACES = Path("/run/tedge-cert-renewer-tests")
_MAXIMUM = 250


class NoSlotError(Exception):
    """All places are taken by running devices."""


@dataclass(frozen=True)
class Slot:
    """A place that is ours until it is released or this process ends."""

    number: int
    lock: int

    @property
    def name(self) -> str:
        """Return the name that the device's namespace, cable, control group and container carry."""
        return f"{PREFIX}{self.number:03}"

    @property
    def directory(self) -> Path:
        """Return the directory of the device's disk: in the cache, unless the run has its disks elsewhere."""
        place = os.environ.get("TEDGE_TEST_DISKS")
        return (Path(place) if place else cache_directory()) / "devices" / self.name

    @property
    def network(self) -> Network:
        """Return the network of this place, whether it exists or not."""
        return Network(self.name, self.number)

    @staticmethod
    def take(number: int) -> "Slot | None":
        """Take that place if it is free, and clear it."""
        _PLACES.mkdir(parents=True, exist_ok=True)
        path = _PLACES / f"{number:03}"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        slot = Slot(number, lock)
        before = os.read(lock, 4096).decode()
        slot._clear(*([Path(before)] if before else []))
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(slot.directory).encode(), 0)  # another cache may be in use next time
        return slot

    @staticmethod
    def claim() -> "Slot":
        """Take the first free place."""
        for number in range(_MAXIMUM):
            slot = Slot.take(number)
            if slot is not None:
                return slot
        raise NoSlotError(f"{_MAXIMUM} devices run on this machine")

    def _clear(self, *further: Path) -> None:
        cgroups.kill(self.name)
        cgroups.remove(self.name)
        self.network.delete()
        container.forget(self.name)
        for directory in {self.directory, *further}:
            if directory.exists():
                shutil.rmtree(directory)

    def release(self) -> None:
        """Remove everything that carries the place's name and give it to others."""
        self._clear()
        os.ftruncate(self.lock, 0)
        os.close(self.lock)


def sweep() -> None:
    """Clear the places of runs that were killed."""
    for path in sorted(_PLACES.glob("[0-9]*")):
        slot = Slot.take(int(path.name))
        if slot is not None:
            slot.release()
