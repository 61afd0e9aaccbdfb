# SPDX-License-Identifier: Apache-2.0
"""Tell the bridge in the mapper of thin-edge from that of mosquitto, and look at the process of the mapper.

The mapper reads the certificate only when it starts. The hourly check uses this module, so it imports next to nothing.
"""

import os
import time

from tedge_cert.hourly.pem import read

CGROUPS = "/sys/fs/cgroup/system.slice"
# The kernel counts the start of a process in hundredths of a second, and the times of files a little behind.
_EXACT_S = 0.02


def bridge_file_of(directory: str, profile: str) -> str:
    """Return the path of the bridge's configuration; while it exists, the device is connected."""
    return f"{directory}/mosquitto-conf/c8y{f'@{profile}' if profile else ''}-bridge.conf"


def is_built_in(bridge_file: str) -> bool:
    """Return whether a bridge file is that of the mapper: only that of mosquitto names a connection.

    The setting mqtt.bridge.built_in says what the next reconnect would make, not what is there.
    """
    try:
        lines = read(bridge_file).splitlines()
    except OSError:
        return False
    return not any(line.split(None, 1)[:1] == [b"connection"] for line in lines)


def unit_of(profile: str) -> str:
    """Return the unit of the mapper of a cloud profile."""
    return f"tedge-mapper-c8y@{profile}.service" if profile else "tedge-mapper-c8y.service"


def processes(unit: str) -> list[int] | None:
    """List the processes of a service, by its cgroup; None where cgroups cannot be seen."""
    if not os.path.isdir(CGROUPS):  # noqa: PTH112 (pathlib is not imported in the hourly path)
        return None
    name, is_instance, _ = unit.partition("@")
    parent = f"{CGROUPS}/system-{name.replace('-', chr(92) + 'x2d')}.slice" if is_instance else CGROUPS
    try:
        return [int(each) for each in read(f"{parent}/{unit}/cgroup.procs").split()]
    except (OSError, ValueError):
        return []


def is_alive(pid: int) -> bool:
    """Return whether there is a process of this number, also if it belongs to another user."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def is_behind(pids: list[int], certificate: str) -> bool | None:
    """Return whether the first of these processes was started before ``certificate`` was put there.

    None where either cannot be seen.
    """
    started = [at for each in pids if (at := _started_s(each)) is not None]
    try:
        return min(started) + _EXACT_S < os.stat(certificate).st_ctime if started else None  # noqa: PTH116
    except OSError:
        return None


def _started_s(pid: int) -> float | None:
    """Return when a process was started, by the present time of day; None if that cannot be seen."""
    try:
        # The name of the program is in parentheses, and may hold any character (proc(5)).
        ticks = int(read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
    since_boot_s = ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot_s
