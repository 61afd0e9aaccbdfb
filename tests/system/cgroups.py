# SPDX-License-Identifier: Apache-2.0
"""A control group for each device: systemd in it must own its group, and all of it ends together."""

import os
import signal
from pathlib import Path

from system.machine import await_until


class NoCgroupError(Exception):
    """The machine has no unified control group hierarchy."""


def _hierarchies() -> list[Path]:
    """Return where the unified hierarchy and, on a hybrid machine, systemd's own old one are mounted."""
    found: list[Path] = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ", 1)
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(before.split(" ")[4]))
    return found


def _unified(name: str) -> Path:
    for hierarchy in _hierarchies():
        if (hierarchy / "cgroup.controllers").exists():
            return hierarchy / name
    raise NoCgroupError("no cgroup2 is mounted: the devices' systemd cannot account for CPU time")


def create(name: str) -> list[Path]:
    """Create the group in each hierarchy; return the files that a process writes its id to, to join it."""
    _unified(name)
    groups = [hierarchy / name for hierarchy in _hierarchies()]
    for group in groups:
        group.mkdir(exist_ok=True)
    return [group / "cgroup.procs" for group in groups]


def cpu_ns(name: str) -> int:
    """Return the CPU time in ns that all processes of the device have used since it booted."""
    for line in (_unified(name) / "payload/cpu.stat").read_text().splitlines():
        key, value = line.split()
        if key == "usage_usec":
            return int(value) * 1000
    raise NoCgroupError(f"no CPU time in the group of {name}")


def _processes(group: Path) -> list[int]:
    return [int(pid) for file in group.rglob("cgroup.procs") for pid in file.read_text().split()]


def _empty(group: Path) -> bool:
    return "populated 0" in (group / "cgroup.events").read_text()


def kill(name: str) -> None:
    """End every process of the group at once, as a power cut does, and wait until they are gone."""
    group = _unified(name)
    if not group.exists():
        return
    if (group / "cgroup.kill").exists():
        (group / "cgroup.kill").write_text("1")
    else:  # before Linux 5.14; its PID 1 takes the rest along
        for pid in _processes(group):
            os.kill(pid, signal.SIGKILL)
    await_until(lambda: _empty(group), f"end of the processes of {name}", 20)


def remove(name: str) -> None:
    """Remove the group and what systemd made below it, in every hierarchy; its processes have ended."""
    for hierarchy in _hierarchies():
        top = hierarchy / name
        if top.exists():
            for folder, _, _ in os.walk(top, topdown=False):
                Path(folder).rmdir()
