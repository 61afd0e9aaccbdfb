# SPDX-License-Identifier: Apache-2.0
"""Bounds on what reaches for a host by its name: the look-up of the name counts too, and ends with the rest."""

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tedge_cert.deadline import bounded


@contextmanager
def reaching(seconds: float, what: str) -> Iterator[None]:
    """As ``bounded``, for a block that opens connections.

    The C library waits for silent name servers as long as resolv.conf(5) says, and hears no signal meanwhile. The
    libraries that connect have nothing in common but ``socket.getaddrinfo``, so that is what is exchanged while the
    block runs. They still see every address, and check the server's certificate for the name.
    """
    before = socket.getaddrinfo
    with bounded(seconds, what):
        try:
            socket.getaddrinfo = _look_up
            yield
        finally:
            socket.getaddrinfo = before


def _look_up(*arguments: Any, **options: Any) -> Any:
    """What ``socket.getaddrinfo`` returns or raises, waited for in a way that a signal ends.

    The thread that nobody waits for any more ends with the process at the latest.
    """
    found: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found.put((_getaddrinfo(*arguments, **options), None))
        except BaseException as error:  # noqa: BLE001 (it is raised by whoever waits)
            found.put((None, error))

    threading.Thread(target=ask, daemon=True).start()
    addresses, error = found.get()
    if error is not None:
        raise error
    return addresses


_getaddrinfo = socket.getaddrinfo
