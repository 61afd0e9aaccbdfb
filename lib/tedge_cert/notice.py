# SPDX-License-Identifier: Apache-2.0
"""Short messages to the service manager and the journal, by their sockets: no answer is waited for."""

import os

from tedge_cert import journal

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
