# SPDX-License-Identifier: Apache-2.0
"""A middlebox that intercepts TLS: it shows a certificate for every name, from its own authority."""

import ssl
import tempfile
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

from cryptography import x509

from unit.certificates import make


def _context() -> ssl.SSLContext:
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    shown = make("127.0.0.1", begin=now - timedelta(days=1), end=now + timedelta(days=1), extension=names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(shown.pem + shown.key_pem)
        context.load_cert_chain(file.name)
    return context


class _Handler(StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Middlebox)
        with suppress(OSError), self.server.context.wrap_socket(self.connection, server_side=True) as opened:
            self.server.heard += opened.recv(65_536)


class Middlebox(ThreadingTCPServer):
    """It keeps the decrypted bytes in `heard`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.context = _context()
        self.heard = b""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self.server_address[1]
        return port

    def stop(self) -> None:
        """End it."""
        self.shutdown()
        self.server_close()
