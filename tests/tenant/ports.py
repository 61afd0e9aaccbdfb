# SPDX-License-Identifier: Apache-2.0
"""Ports of this machine for servers that are told theirs."""

import random
import socket


def free_port() -> int:
    """A port that nothing listens on at present, below those that the kernel gives to connections (ip(7))."""
    while True:
        port = random.randint(10_000, 32_000)  # noqa: S311
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
