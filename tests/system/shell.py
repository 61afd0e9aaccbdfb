# SPDX-License-Identifier: Apache-2.0
"""Commands and files of a device, as a logged-in user sees them."""

import shlex
import subprocess
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from system.background import Background, end
from system.container import Container
from system.machine import await_until

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_STAT = "%F|%a|%U|%G|%s|%i|%Y"

Command = str | Sequence[str]
"""A text for the device's shell, or the words of one program."""


@dataclass(frozen=True)
class Completed:
    """The result of a command."""

    command: str
    exit_code: int
    stdout: str
    stderr: str
    duration_s: float


class CommandError(Exception):
    """A command on the device failed that was expected to succeed."""

    def __init__(self, done: Completed) -> None:
        super().__init__(f"`{done.command}`: exit {done.exit_code}\n{done.stdout}{done.stderr}")


@dataclass(frozen=True)
class FileFacts:
    """What stat says about a file; of a symbolic link, not of its target."""

    kind: str
    """regular file, directory, symbolic link, …"""
    mode: int
    owner: str
    group: str
    size: int
    inode: int
    modified_s: int


class Shell:
    """Runs commands in a container with an environment that has nothing of this machine's.

    While the device is off, commands run in its tree: enough for files, not for systemd.
    """

    def __init__(self, container: Container) -> None:
        self.container = container
        self._background: list[Background] = []

    def _start(
        self, command: Command, user: str | None, env: Mapping[str, str] | None
    ) -> tuple[list[str], dict[str, str]]:
        """Return the command line that runs the command, and its environment."""
        argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
        home = "/root" if user is None else self._home(user)
        variables = {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": home, "USER": user or "root", **(env or {})}
        if user is not None:  # runuser(1) adds to the environment
            clean = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
            argv = ["runuser", "-u", user, "--", *clean, *argv]
        return self.container.enter(argv), variables

    def _home(self, user: str) -> str:
        return self.run(["getent", "passwd", user]).stdout.split(":")[5]

    def run(
        self,
        command: Command,
        *,
        check: bool = True,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout_s: float = 60,
    ) -> Completed:
        """Run a command to its end, as root or that user; with `check` raise CommandError if it fails."""
        shown = command if isinstance(command, str) else shlex.join(command)
        began = time.monotonic()
        argv, variables = self._start(command, user, env)
        with subprocess.Popen(
            argv,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                stdout, stderr = process.communicate(stdin, timeout_s)
            except BaseException:  # also an interrupt: nothing of ours goes on in the device
                end(process)
                raise
        done = Completed(shown, process.returncode, stdout, stderr, time.monotonic() - began)
        if check and done.exit_code != 0:
            raise CommandError(done)
        return done

    def start(self, command: Command, *, user: str | None = None, env: Mapping[str, str] | None = None) -> Background:
        """Start a command that runs beside the test; the device's end ends it."""
        background = Background(*self._start(command, user, env))
        self._background.append(background)
        return background

    def subscribe(self, topic: str = "#") -> Background:
        """Watch the local broker from now on: each message is a line `> topic payload`."""
        words = ["mosquitto_sub", "-d", "-t", topic, "-F", "> %t %p"]
        watcher = self.start(["stdbuf", "-oL", *words])  # into a pipe it would write by blocks
        watcher.expect("Subscribed")
        return watcher

    def stop_background(self) -> None:
        """End what `start` started."""
        while self._background:
            self._background.pop().stop()

    def wait_for(self, command: Command, timeout_s: float = 30) -> None:
        """Wait until the command succeeds, asking again and again: for what no line or event announces."""
        await_until(lambda: self.run(command, check=False).exit_code == 0, str(command), timeout_s, 0.1)

    def write(self, path: str, text: str, *, mode: int = 0o644, owner: str = "root:root") -> None:
        """Write a file, and its directory if that is missing."""
        script = '[ -d "${1%/*}" ] || mkdir -p "${1%/*}"; cat > "$1" && chown "$2" "$1" && chmod "$3" "$1"'
        self.run(["sh", "-ec", script, "sh", path, owner, f"{mode:o}"], stdin=text)

    def copy_in(self, source: Path, path: str) -> None:
        """Copy a file of this machine to the device, as root's and readable by all."""
        text = b64encode(source.read_bytes()).decode()
        self.run(["sh", "-ec", 'base64 -d > "$1" && chmod 644 "$1"', "sh", path], stdin=text)

    def read(self, path: str) -> str:
        """Return the content of a text file."""
        return self.run(["cat", path]).stdout

    def exists(self, path: str) -> bool:
        """Whether there is something at the path, also a dangling link."""
        return self.run('test -e "$P" || test -L "$P"', check=False, env={"P": path}).exit_code == 0

    def stat(self, path: str) -> FileFacts:
        """Return kind, mode, owners, size, inode and time of change."""
        facts = self.run(["stat", f"--format={_STAT}", path]).stdout.strip().split("|")
        kind, mode, owner, group, *numbers = facts
        size, inode, modified = map(int, numbers)
        return FileFacts(kind, int(mode, 8), owner, group, size, inode, modified)

    def listing(self, path: str) -> list[str]:
        """Return the paths of all files below a directory."""
        return sorted(self.run(["find", path, "-mindepth", "1"]).stdout.splitlines())
