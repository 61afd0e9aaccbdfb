# SPDX-License-Identifier: Apache-2.0
"""A server with the tenant's certificate that trusts no device, or sends an alert before its certificate."""

import socket
import ssl
import threading
from contextlib import suppress
from typing import Self

from tenant.client import Tenant


class TlsServer:
    """Turns every client away with an alert; with `alert`, in the place of its own certificate."""

    def __init__(self, tenant: Tenant, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, alert: int = 0) -> None:
        self.met = 0
        self._alert = alert
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = self._context.maximum_version = version
        self._context.load_cert_chain(
            tenant.server_ca.with_name("server.pem"), tenant.server_ca.with_name("server.key")
        )
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_verify_locations(tenant.server_ca)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        # Closing alone does not wake a thread that waits for a connection.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.met += 1
                with client:
                    client.settimeout(10)
                    self._turn_away(client)

    def _turn_away(self, client: socket.socket) -> None:
        with suppress(OSError):
            if self._alert:
                client.recv(65_536)
                # Alert, TLS 1.2, two octets: fatal, and which (RFC 8446 section 6).
                client.sendall(bytes([21, 3, 3, 0, 2, 2, self._alert]))
            else:
                self._refuse(client)
            client.shutdown(socket.SHUT_WR)
            # Until the client has gone: a reset would overtake the alert.
            while client.recv(65_536):
                pass

    def _refuse(self, client: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        secured = self._context.wrap_bio(incoming, outgoing, server_side=True)
        with suppress(ssl.SSLCertVerificationError):
            while True:
                try:
                    secured.do_handshake()
                except ssl.SSLWantReadError:
                    client.sendall(outgoing.read())
                    incoming.write(client.recv(65_536))
                else:
                    raise AssertionError("an untrusted certificate was accepted")
        client.sendall(outgoing.read())
