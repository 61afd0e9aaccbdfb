# SPDX-License-Identifier: Apache-2.0
"""A server that gives one answer to every request, also answers that no HTTP library would send."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tedge_cert.net.anchors import Trust
from tedge_cert.net.server import Server as HttpsServer

ROOTS = "c8y.root_cert_path"


@dataclass(frozen=True)
class Server:
    """Its port, the anchor of its certificate, and the requests that it received."""

    port: int
    trust: Path
    asked: list[bytes]

    @property
    def by_https(self) -> HttpsServer:
        """The server as the client knows it."""
        return server_at(self.port, self.trust)


def server_at(port: int, trust: Path) -> HttpsServer:
    """A server on this machine by the name `localhost`, set as a tenant is."""
    return HttpsServer(f"localhost:{port}", Trust(trust, ROOTS), "c8y.http")


@contextmanager
def answering(directory: Path, answer: bytes, name: str = "localhost", encrypted: bool = True) -> Iterator[Server]:
    """Send `answer` to every client and close; over TLS with a certificate for `name`, if `encrypted`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "root.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    asked: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:  # closed: the test is over
                return
            # Some tests are about a client that breaks off.
            with contextlib.suppress(OSError), connection:
                if not encrypted:
                    asked.append(connection.recv(65_536))
                    connection.sendall(answer)
                    continue
                with context.wrap_socket(connection, server_side=True) as secured:
                    if request := _read(secured):
                        asked.append(request)
                    secured.sendall(answer)
                    secured.unwrap()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Server(listener.getsockname()[1], directory / "root.pem", asked)
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def _read(connection: socket.socket) -> bytes:
    """A request with its body."""
    got = b""
    while b"\r\n\r\n" not in got and (more := connection.recv(65_536)):
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    length = next(
        (int(each.split(b":")[1]) for each in head.split(b"\r\n") if each.lower().startswith(b"content-length")), 0
    )
    while len(body) < length and (more := connection.recv(65_536)):
        body += more
    return head + b"\r\n\r\n" + body if got else b""
