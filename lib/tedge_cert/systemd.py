# SPDX-License-Identifier: Apache-2.0
"""systemd as far as connecting needs it: is it there, restart the broker, enable a timer."""

import ctypes
import os
import shlex
import shutil
from pathlib import Path

from tedge_cert import journal
from tedge_cert.errors import TedgeCertError
from tedge_cert.processes import PATH, run


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


# The reader may be stopped, and a renewal does not wait for it.
_LIMIT_S = 1.0


def status(text: str) -> None:
    """What this step is at, for `systemctl status` (sd_notify(3)); nothing outside a unit."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        datagram(address, f"STATUS={text}\n".encode("utf-8", "replace"))


def datagram(address: str, content: bytes) -> None:
    """Send ``content`` to a socket of the system; where nobody listens, or nobody reads, it is left out."""
    # Of an hour with nothing to do, most of the time would go into this import.
    import socket

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(_LIMIT_S)
            sender.sendto(content, "\0" + address[1:] if address.startswith("@") else address)
    except OSError as error:
        journal.debug(f"nothing was said to {address}: {error.strerror or error}")


# Above this estimate of its own error the kernel takes the clock for unsynchronised (systemd's ntp_synced()).
_LIMIT_US = 16_000_000


class _Timex(ctypes.Structure):
    """The head of struct timex (adjtimex(2)), with room for the rest of it on every architecture."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_byte * 512),
    )


def is_synchronised() -> bool | None:
    """Whether it is; None where the kernel does not say (some containers)."""
    facts = _Timex()
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None or adjtimex(ctypes.byref(facts)) < 0:
        return None
    return int(facts.maxerror) < _LIMIT_US
