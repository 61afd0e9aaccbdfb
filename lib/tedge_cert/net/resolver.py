# SPDX-License-Identifier: Apache-2.0
"""Bound the time to reach a host by its name, the look-up of the name included."""

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tedge_cert.deadline import bounded


@contextmanager
def reaching(seconds: float, what: str) -> Iterator[None]:
    """Limit the time of a block that opens connections as ``bounded`` does, the look-up of names included.

    The C library waits for silent name servers as long as resolv.conf(5) says, and no signal ends that. All libraries
    that connect call ``socket.getaddrinfo``, so it is replaced while the block runs. They still see every address, and
    check the server's certificate for the name.
    """
    before = socket.getaddrinfo
    with bounded(seconds, what):
        try:
            socket.getaddrinfo = _look_up
            yield
        finally:
            socket.getaddrinfo = before


def _look_up(*arguments: Any, **options: Any) -> Any:
    """Do as ``socket.getaddrinfo`` does, in a wait that a signal ends.

    An abandoned thread ends with the process at the latest.
    """
    found: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found.put((_getaddrinfo(*arguments, **options), None))
        except BaseException as error:  # noqa: BLE001 (the thread that waits raises it)
            found.put((None, error))

    threading.Thread(target=ask, daemon=True).start()
    addresses, error = found.get()
    if error is not None:
        raise error
    return addresses


_getaddrinfo = socket.getaddrinfo
