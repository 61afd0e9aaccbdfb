# SPDX-License-Identifier: Apache-2.0
"""Control systemd: detect it, run systemctl, and show the status of our own unit."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from tedge_cert import journal
from tedge_cert.deadline import bounded
from tedge_cert.errors import TedgeCertError
from tedge_cert.processes import PATH, run

# timedated may have to be started first.
_CLOCK_LIMIT_S = 5.0


def is_running() -> bool:
    """Return whether systemd is the service manager (sd_booted(3)) and systemctl is installed."""
    # Not by shutil, which would cost each command two milliseconds: it knows archives too.
    places = (f"{each}/systemctl" for each in PATH.split(":"))
    return Path("/run/systemd/system").is_dir() and any(os.access(each, os.X_OK) for each in places)


def is_clock_synchronised() -> bool | None:
    """Return whether something keeps the clock right, as timedatectl says it; None if that is not known."""
    if not is_running():
        return None
    try:
        with bounded(_CLOCK_LIMIT_S, "asking for it"):
            return synchronised_by(run(["timedatectl", "show", "--property=NTPSynchronized"]).stdout)
    except (TedgeCertError, OSError) as error:
        journal.debug(f"it is not known whether the clock is synchronised: {error}")
        return None


def synchronised_by(shown: str) -> bool | None:
    """Return whether the clock is synchronised, by the properties that timedatectl shows; None if they do not say."""
    return {"yes": True, "no": False}.get(properties(shown.splitlines()).get("NTPSynchronized", ""))


def properties(lines: Iterable[str]) -> dict[str, str]:
    """Return the values in lines such as ``ActiveState=active``, as systemctl and timedatectl show them."""
    return dict(line.partition("=")[::2] for line in lines)


def unit_run() -> str:
    """Return the id of this run of our unit; empty in a person's shell, which has none (systemd.exec(5))."""
    return os.environ.get("INVOCATION_ID", "")


def systemctl(*words: str) -> str:
    """Run systemctl and return its output; raises TedgeCertError with its message."""
    command = ["systemctl", "--no-ask-password", "--no-pager", *words]
    result = run(command)
    if result.returncode:
        import shlex

        said = " ".join(result.stderr.split()) or f"exit code {result.returncode}"
        raise TedgeCertError(f"`{shlex.join(command)}` failed: {said}")
    return result.stdout


def reset_failed(unit: str) -> None:
    """Have systemd forget that ``unit`` failed; one that it does not know has nothing to forget."""
    run(["systemctl", "reset-failed", unit])


def is_active(unit: str) -> bool:
    return run(["systemctl", "is-active", "--quiet", unit]).returncode == 0


def is_enabled(unit: str) -> bool:
    """Return whether ``unit`` starts at the next boot."""
    return run(["systemctl", "is-enabled", "--quiet", unit]).returncode == 0


def find_libraries() -> None:
    """Make Debian's Python modules importable in a program that starts without them (`python3 -S`).

    The hourly check starts so, because an hour with nothing to do needs none of them.
    """
    if sys.flags.no_site:
        import site

        site.main()


# The service manager may be busy, and a renewal does not wait for it.
_LIMIT_S = 1.0


def status(text: str) -> None:
    """Show ``text`` as the status of the unit in `systemctl status`; do nothing outside a unit."""
    if "NOTIFY_SOCKET" not in os.environ:
        return
    try:
        find_libraries()
        from systemd import daemon

        with bounded(_LIMIT_S, "sending it"):
            daemon.notify(f"STATUS={journal.printable(text)}")
    except (ImportError, OSError) as error:
        journal.debug(f"the status did not reach the service manager: {error}")
