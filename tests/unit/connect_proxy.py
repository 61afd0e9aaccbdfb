# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy on loopback that makes tunnels (CONNECT, RFC 9110 §9.3.6), or does not."""

import base64
import socket
import ssl
import threading
from contextlib import suppress
from typing import Self

BEHAVIOURS = ("works", "silent", "forbids", "hangs-up")


class ConnectProxy:
    """A proxy that records its requests; `user` is required if given, with `tls` it speaks TLS itself."""

    def __init__(
        self, user: str = "", password: str = "", behaviour: str = "works", tls: ssl.SSLContext | None = None
    ) -> None:
        assert behaviour in BEHAVIOURS
        said = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._wanted = f"proxy-authorization: basic {said}".lower() if user else ""
        self._behaviour = behaviour
        self._tls = tls
        self.tunnels: list[str] = []
        self.refused = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            self._serve_one(client if self._tls is None else self._tls.wrap_socket(client, True))

    def _serve_one(self, client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head and (more := client.recv(4096)):
                head += more
            lines = head.decode("latin-1").split("\r\n")
            target = lines[0].split()[1]
            if self._behaviour == "silent":
                client.recv(1)
            elif self._behaviour == "forbids":
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            elif self._wanted and self._wanted not in [each.lower() for each in lines]:
                self.refused += 1
                client.sendall(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                    b"Proxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
                )
            elif self._behaviour == "works":
                self._tunnel(client, target)

    def _tunnel(self, client: socket.socket, target: str) -> None:
        host, _, port = target.rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port)), 10) as server:
            self.tunnels.append(target)
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            server.settimeout(None)
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
