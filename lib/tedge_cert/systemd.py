# SPDX-License-Identifier: Apache-2.0
"""systemd as far as connecting needs it: is it there, restart the broker, enable a timer."""

import shlex
import shutil
import subprocess
from pathlib import Path

from tedge_cert.errors import TedgeCertError

# A broker that has many sessions to save takes its time to stop.
TIMEOUT_S = 90.0
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def is_running() -> bool:
    """Whether systemd is the service manager (sd_booted(3)), and can be spoken to."""
    return Path("/run/systemd/system").is_dir() and shutil.which("systemctl", path=PATH) is not None


def systemctl(*words: str) -> str:
    """Run systemctl; its output. Raises TedgeCertError with what it said."""
    command = ["systemctl", "--no-ask-password", "--no-pager", *words]
    result = run(command)
    if result.returncode:
        said = " ".join(result.stderr.split()) or f"exit code {result.returncode}"
        raise TedgeCertError(f"`{shlex.join(command)}` failed: {said}")
    return result.stdout


def restart(unit: str) -> None:
    """Restart ``unit``, however often that was done before. Raises TedgeCertError with what systemctl said.

    systemd refuses the sixth start within ten seconds and leaves the unit stopped (StartLimitBurst=): that is for a
    unit that fails in circles, not for a script that connects and disconnects profiles one after the other.
    """
    run(["systemctl", "reset-failed", unit])
    systemctl("restart", unit)


def is_active(unit: str) -> bool:
    """Whether ``unit`` is active."""
    return run(["systemctl", "is-active", "--quiet", unit]).returncode == 0


def is_installed(unit: str) -> bool:
    """Whether systemd knows ``unit``, enabled or not."""
    return run(["systemctl", "show", "--property=LoadState", "--value", unit]).stdout.strip() != "not-found"


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a child with nothing on stdin, a fixed locale and a bound; raises TedgeCertError if it cannot run."""
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            env={"PATH": PATH, "LANG": "C.UTF-8"},
        )
    except FileNotFoundError as error:
        raise TedgeCertError(f"`{command[0]}` is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise TedgeCertError(f"`{shlex.join(command)}` did not end within {TIMEOUT_S:g} s") from error
