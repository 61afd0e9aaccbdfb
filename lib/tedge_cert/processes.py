# SPDX-License-Identifier: Apache-2.0
"""Run other programs, with a time limit and without our environment."""

from typing import TYPE_CHECKING, Any

from tedge_cert.errors import TedgeCertError

if TYPE_CHECKING:
    import subprocess

# systemctl waits for its job: a broker with many sessions to save takes long to stop. systemd kills it after 90 s, and
# gives the next one 90 s to start (DefaultTimeoutStopSec=, DefaultTimeoutStartSec=); then systemctl says what happened.
TIMEOUT_S = 190.0
DESCRIPTORS = "/proc/self/fd/"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run a program with an empty stdin, no terminal, a fixed locale and a time limit.

    Raises TedgeCertError if it cannot run.
    """
    # An hour that fails imports this module, but runs nothing.
    import subprocess

    return _run(command, {}, stdin=subprocess.DEVNULL, encoding="utf-8", errors="replace")


def pipe(
    command: list[str], content: bytes, variables: dict[str, str], timeout_s: float = TIMEOUT_S
) -> "subprocess.CompletedProcess[bytes]":
    """Run a program as ``run`` does, with ``content`` as its input and these variables; its output is bytes.

    A variable may name an open file by its descriptor, which the program gets.
    """
    named = [value.removeprefix(DESCRIPTORS) for value in variables.values() if value.startswith(DESCRIPTORS)]
    return _run(command, variables, timeout_s, input=content, pass_fds=[int(each) for each in named if each.isdigit()])


def _run(
    command: list[str], variables: dict[str, str], timeout_s: float = TIMEOUT_S, **options: Any
) -> "subprocess.CompletedProcess[Any]":
    import subprocess

    try:
        return subprocess.run(
            command,
            **options,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env={"PATH": PATH, "LANG": "C.UTF-8", **variables},
            # User tedge may trace what runs as tedge, and would type on the terminal of root (TIOCSTI).
            start_new_session=True,
            # What it makes is for others to read, whatever the umask of the person who typed the command.
            umask=0o022,
        )
    except FileNotFoundError as error:
        raise TedgeCertError(f"`{command[0]}` is not installed") from error
    except subprocess.TimeoutExpired as error:
        import shlex

        raise TedgeCertError(f"`{shlex.join(command)}` did not end within {timeout_s:g} s") from error
