# SPDX-License-Identifier: Apache-2.0
"""A device: a Debian with a network of its own, a journal, a cable and a power switch."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, Self

from system import cgroups
from system.container import REBOOT, Container
from system.journal import Entry, UnitRun, entries
from system.machine import locked
from system.network import Network
from system.overlay import Overlay
from system.shell import Completed, Shell
from system.slots import Slot

END_S = 20.0
"""How long an orderly end may take, in s, before the power is cut: systemd may hang in a container."""
# Half the time of a daemon-reload, for disks and consoles that a container has not. That of System V scripts stays: it
# makes a unit, which the product meets, of the script that a removed broker leaves.
_NO_GENERATORS = (
    "cryptsetup", "debug", "fstab", "getty", "gpt-auto", "hibernate-resume", "integritysetup", "rc-local", "run", "ssh",
    "system-update", "tpm2", "veritysetup",
)  # fmt: skip
_KINDS = (".service", ".timer", ".target", ".socket", ".mount", ".path", ".slice", ".scope")
_JOURNAL = ["journalctl", "--no-pager", "--quiet"]


class Device(Shell):
    """Booted in a `with` statement, or by `boot` and `end`.

    With network="host" it shares this machine's network, for what needs Debian's archive; another such device
    waits for the end of this one, as its broker takes the machine's port. With `init` it has that instead of systemd.
    """

    def __init__(
        self,
        layers: Sequence[Path],
        *,
        network: Literal["private", "host"] = "private",
        init: Sequence[str] = (),
        all_of_debian: bool = False,
    ) -> None:
        self.slot = Slot.claim()
        self.network: Network = self.slot.network
        self._private = network == "private"
        self._held = ExitStack()
        tree = Overlay(tuple(layers), self.slot.directory)
        super().__init__(Container(self.name, tree, self.network.namespace if self._private else None, init))
        self._held.callback(self.slot.release)
        try:
            tree.prepare()
            if self._private:
                self.network.create()
            else:
                self._held.enter_context(locked("host-network"))
            tree.put("etc/resolv.conf", "" if self._private else Path("/etc/resolv.conf").read_text())
            tree.put("etc/hosts", self._hosts({}))
            if not all_of_debian:
                self._slim(tree)
        except BaseException:
            self._held.close()
            raise

    @staticmethod
    def _slim(tree: Overlay) -> None:
        """Leave out what each boot and each reload would do for nothing."""
        for name in _NO_GENERATORS:
            tree.link(f"etc/systemd/system-generators/systemd-{name}-generator", "/dev/null")
        # No test logs in to a device.
        tree.link("etc/systemd/system/systemd-logind.service", "/dev/null")
        # Else systemd 257 takes the tree for a new version of Debian, and has ldconfig and others go through it.
        for place in ("etc", "var"):
            tree.put(f"{place}/.updated", "")

    @property
    def name(self) -> str:
        """Return the host name."""
        return self.slot.name

    def _hosts(self, hosts: Mapping[str, str]) -> str:
        known = {"localhost": "127.0.0.1", self.name: "127.0.1.1", **hosts}
        return "".join(f"{address} {name}\n" for name, address in known.items())

    def know(self, hosts: Mapping[str, str]) -> None:
        """Write /etc/hosts: these names with their addresses, which become reachable, and the own name."""
        self.write("/etc/hosts", self._hosts(hosts))
        if self._private:
            for address in hosts.values():
                self.network.reach(address)

    def __enter__(self) -> Self:
        try:
            self.boot()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    # power

    def boot(self, timeout_s: float = 60) -> None:
        """Boot and wait until everything has been started; `state` says with what success."""
        self.container.boot(timeout_s)

    @property
    def state(self) -> str:
        """Return what systemd says of the system: running, or degraded and the failed units."""
        answer = self.run(["systemctl", "is-system-running", "--wait"], check=False).stdout.strip()
        failed = self.run(["systemctl", "list-units", "--failed", "--plain", "--no-legend"]).stdout.splitlines()
        return " ".join([answer, *(line.split()[0] for line in failed)])

    def power_cut(self) -> None:
        """End everything at once, without a word; `boot` goes on with what is on disk."""
        self.container.kill()
        self.stop_background()

    def shutdown(self, timeout_s: float = END_S) -> bool:
        """Power off; return whether it ended in order (False: it hung and the power was cut)."""
        return self._end_by("poweroff", timeout_s) == 0

    def reboot(self, timeout_s: float = END_S) -> bool:
        """Reboot and wait until it is up; return whether the end before was an orderly one."""
        orderly = self._end_by("reboot", timeout_s) == REBOOT
        self.boot()
        return orderly

    def _end_by(self, verb: str, timeout_s: float) -> int | None:
        self.run(["systemctl", "--no-block", verb])
        code = self.container.await_end(timeout_s)
        self.stop_background()
        return code

    def end(self) -> None:
        """Take the device away with its disk and its network; an ended device stays ended."""
        with self._held:
            self.power_cut()

    def cut(self) -> None:
        """Pull the network cable."""
        self.network.cut()

    def restore(self) -> None:
        """Put the network cable back."""
        self.network.restore()

    @property
    def cpu_ns(self) -> int:
        """Return the CPU time in ns of the device since it booted, without what `run` started."""
        return cgroups.cpu_ns(self.name)

    # journal

    def cursor(self) -> str:
        """Return the place in the journal where it ends now."""
        self.run(["journalctl", "--sync"])
        shown = self.run([*_JOURNAL, "--lines=1", "--show-cursor", "--output=cat"]).stdout
        return shown.rpartition("-- cursor: ")[2].strip()

    def journal(self, unit: str | None = None, *, after: str | None = None) -> list[Entry]:
        """Return the entries (of a unit: its processes' and the manager's about it) after a cursor."""
        self.run(["journalctl", "--sync"])
        selected = [f"--after-cursor={after}"] if after else []
        found = entries(self.run([*_JOURNAL, "--all", "--output=json", *selected]).stdout.splitlines())
        if unit is None:
            return found
        # Not by --unit: after a cursor whose own entry does not match, journalctl skips the first one that does.
        full = unit if unit.endswith(_KINDS) else f"{unit}.service"
        return [entry for entry in found if entry.unit == full]

    def await_entry(self, wanted: Callable[[Entry], bool], *, after: str, timeout_s: float = 30) -> Entry:
        """Wait for an entry after the cursor, or of all that is there, that the function says yes to."""
        selected = [f"--after-cursor={after}"] if after else []
        command = [*_JOURNAL, "--all", "--follow", "--output=json", "--lines=all", *selected]
        follower = self.start(command)
        try:
            line = follower.expect(lambda line: line.startswith("{") and wanted(Entry.from_json(line)), timeout_s)
        finally:
            follower.stop()
        return Entry.from_json(line)

    # units

    def unit(self, name: str, *properties: str) -> dict[str, str]:
        """Return those properties of a unit, or all."""
        selected = [f"--property={','.join(properties)}"] if properties else []
        shown = self.run(["systemctl", "show", name, *selected]).stdout
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    def systemctl(self, *arguments: str, check: bool = True, timeout_s: float = 120) -> Completed:
        """Run systemctl."""
        return self.run(["systemctl", *arguments], check=check, timeout_s=timeout_s)

    def keep_loaded(self, unit: str) -> None:
        """Let systemd keep what it knows of a unit after its end, which it else forgets at once."""
        text = f"[Unit]\nDescription=Keeps units loaded for a test\nBefore={unit}\n"
        self.write(f"/run/systemd/system/keep-{unit}.target", text)
        self.systemctl("daemon-reload")
        self.systemctl("start", f"keep-{unit}.target")

    def start_unit(self, unit: str, timeout_s: float = 120) -> UnitRun:
        """Start a service that ends by itself, wait for the end, return what the journal has of it."""
        after = self.cursor()
        done = self.systemctl("start", unit, check=False, timeout_s=timeout_s)
        used = self.unit(unit, "CPUUsageNSec")["CPUUsageNSec"]
        cpu_ns = int(used) if used.isdecimal() else None
        return UnitRun(unit, done.exit_code, self.journal(unit, after=after), cpu_ns)
