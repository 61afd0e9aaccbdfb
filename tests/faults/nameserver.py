# SPDX-License-Identifier: Apache-2.0
"""A name server that a test controls (RFC 1035), and a device that asks no other."""

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from unit.local_device import LocalDevice

NAME = "tenant.example"
SERVER_FAILURE, NO_SUCH_NAME = 2, 3
_ANSWER, _ADDRESS, _SECONDS = 0x8180, 1, 5


@dataclass
class NameServer:
    """What it answers: addresses (IPv4, in this order), or a code, or nothing; after so many seconds."""

    address: str
    addresses: list[str] = field(default_factory=list)
    code: int = 0
    delay_s: float = 0.0
    silent: bool = False
    asked: int = 0

    def reply(self, question: bytes) -> bytes:
        """The answer to a question; of IPv6 the name has no address."""
        end = question.index(b"\0", 12) + 5
        kind = int.from_bytes(question[end - 4 : end - 2])
        found = self.addresses if kind == _ADDRESS and not self.code else []
        # Each is a pointer to the name in the question, its type, its class, how long it holds, and its length.
        records = b"".join(
            b"\xc0\x0c\x00\x01\x00\x01" + _SECONDS.to_bytes(4) + b"\x00\x04" + socket.inet_aton(each) for each in found
        )
        counts = b"\x00\x01" + len(found).to_bytes(2) + b"\x00\x00\x00\x00"
        return question[:2] + (_ANSWER | self.code).to_bytes(2) + counts + question[12:end] + records


@contextmanager
def serving(directory: Path, options: str = "") -> Iterator[NameServer]:
    """A name server at an address of its own, and the resolv.conf(5) that names no other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        server = NameServer(_bind(bound))
        (directory / "resolv.conf").write_text(f"nameserver {server.address}\noptions {options}\n")
        over = threading.Event()
        thread = threading.Thread(target=_serve, args=(bound, server, over))
        thread.start()
        try:
            yield server
        finally:
            over.set()
            thread.join()


def _bind(bound: socket.socket) -> str:
    for number in range(1, 255):
        try:
            bound.bind((f"127.53.0.{number}", 53))
        except OSError:
            continue
        return f"127.53.0.{number}"
    raise AssertionError("every address has a name server")


def _serve(bound: socket.socket, server: NameServer, over: threading.Event) -> None:
    waiting: list[tuple[float, bytes, tuple[str, int]]] = []
    while not over.is_set():
        if select.select([bound], [], [], 0.1)[0]:
            question, sender = bound.recvfrom(512)
            server.asked += 1
            if not server.silent:
                waiting.append((time.monotonic() + server.delay_s, server.reply(question), sender))
        for each in [each for each in waiting if each[0] <= time.monotonic()]:
            waiting.remove(each)
            bound.sendto(*each[1:])


class NamingDevice(LocalDevice):
    """A device whose commands find `resolv.conf` of its directory in the place of the machine's."""

    def command(self, words: str) -> list[str]:
        """The same, in mounts of its own."""
        ours = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", ours, str(self.directory / "resolv.conf"), *super().command(words)]
