# SPDX-License-Identifier: Apache-2.0
"""One systemd-nspawn: boot the tree, know its PID 1, end it."""

import ctypes
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from system import cgroups
from system.machine import command
from system.overlay import Overlay

# Join the control groups named before "--", then become the rest.
_JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1"; shift; done; shift; exec "$@"'
REBOOT = 133  # what nspawn exits with under --keep-unit when the system inside reboots
_OPTIONS = (
    "--quiet",
    "--register=no",
    "--keep-unit",
    "--console=pipe",
    "--link-journal=no",
    "--resolv-conf=off",
    "--timezone=off",
    "--drop-capability=CAP_SYS_TIME",
)
_CAPBSET_DROP, _CAP_SYS_TIME = 24, 25  # prctl(2), capabilities(7)
_NSPAWN_S = 5.0  # may pass between the end of the last process of the device and that of nspawn
_RUN = Path("/run/systemd/nspawn")


def forget(name: str) -> None:
    """Remove what a killed nspawn leaves of that container in /run."""
    for kind in ("propagate", "unix-export"):
        left = _RUN / kind / name
        if left.is_mount():
            command(["umount", str(left)])
        if left.exists():
            shutil.rmtree(left)


class _Rights(threading.local):
    """Programs that enter a device are root of this machine, whose clock is the device's too: `date -s` would set it.

    So no program that this thread starts may do that.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_CAPBSET_DROP, _CAP_SYS_TIME, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "the right to set the clock stays")
        self.are_without_clock = True


_RIGHTS = _Rights()


class BootError(Exception):
    """The container ended or stayed silent instead of booting; the text holds its console."""


class Container:
    """A tree under systemd, in the network namespace given or, without one, in this machine's network.

    With `init` that program runs in systemd's place, and the boot does not wait for what it starts.
    """

    def __init__(self, name: str, tree: Overlay, namespace: Path | None, init: Sequence[str] = ()) -> None:
        self.name = name
        self.tree = tree
        self.credentials: dict[str, str] = {}
        self.options: list[str] = []
        """further ones of systemd-nspawn, such as --read-only"""
        self._namespace = namespace
        self._init = init
        self._console = tree.directory / "console"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader: int | None = None

    @property
    def running(self) -> bool:
        """Whether the container has been booted and not ended since."""
        return self._leader is not None

    @property
    def leader(self) -> int | None:
        """Return the process of this machine that is PID 1 of the container; each boot has another."""
        return self._leader

    def _argv(self) -> list[str]:
        network = [] if self._namespace is None else [f"--network-namespace-path={self._namespace}"]
        place = [f"--machine={self.name}", f"--hostname={self.name}", f"--directory={self.tree.root}"]
        given = [f"--set-credential={name}:{text}" for name, text in self.credentials.items()]
        start = ["--as-pid2", "--", *self._init] if self._init else ["--boot", "--notify-ready=yes"]
        nspawn = self.tree.around(["systemd-nspawn", *_OPTIONS, *self.options, *given, *place, *network, *start])
        groups = [str(path) for path in cgroups.create(self.name)]
        return ["sh", "-ec", _JOIN, "sh", *groups, "--", *nspawn]

    def boot(self, timeout_s: float = 60) -> None:
        """Boot and wait until systemd inside says that it has started everything."""
        self.tree.prepare()
        # systemd 257 refuses the old hierarchy, and 252 accounts for CPU time in the unified one only.
        # No other container uses this tree, and a killed nspawn would leave its lock behind.
        environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_LOCK": "0"}
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, self._console.open("ab") as console:
            ready.bind("")  # the kernel picks an abstract name
            environment["NOTIFY_SOCKET"] = "@" + ready.getsockname()[1:].decode()
            self._nspawn = subprocess.Popen(
                self._argv(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=environment,
                start_new_session=True,  # an interrupt of pytest is not the device's: the fixture ends it
            )
            self._await_ready(ready, time.monotonic() + timeout_s)

    def _await_ready(self, ready: socket.socket, deadline: float) -> None:
        ready.settimeout(0.5)  # between messages, see whether the container still lives
        while time.monotonic() < deadline:
            if self._nspawn is None or self._nspawn.poll() is not None:
                break
            try:
                message = ready.recv(4096).decode()
            except TimeoutError:
                continue
            facts = dict(line.split("=", 1) for line in message.splitlines() if "=" in line)
            if "X_NSPAWN_LEADER_PID" in facts:
                self._leader = int(facts["X_NSPAWN_LEADER_PID"])
            if facts.get("READY") == "1":
                return
        raise BootError(f"{self.name} did not boot:\n{self.console()}")

    def console(self) -> str:
        """Return what the container printed on its console in all its boots."""
        return self._console.read_text(errors="replace") if self._console.exists() else ""

    def enter(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs a command in the device, or in its tree while it is off."""
        assert _RIGHTS.are_without_clock
        if self._leader is None:
            return self.tree.chroot(argv)
        # The root by name too: where the harness itself runs in a chroot, that of the namespace is another one.
        return ["nsenter", f"--target={self._leader}", "--all", "--root", "--wd", "--", *argv]

    def await_end(self, timeout_s: float) -> int | None:
        """Wait for the container to end by itself; return its exit code, None when it had to be killed."""
        if self._nspawn is None:
            return None
        try:
            code: int | None = self._nspawn.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = None
        self.kill()
        return code

    def kill(self) -> None:
        """End every process at once; the tree can be booted again."""
        if self._nspawn is not None:
            cgroups.kill(f"{self.name}/payload")  # nspawn, which is in a group beside it, ends by itself then
            try:
                self._nspawn.wait(_NSPAWN_S)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait()
        cgroups.kill(self.name)
        cgroups.remove(self.name)
        self._nspawn, self._leader = None, None
