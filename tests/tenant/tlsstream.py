# SPDX-License-Identifier: Apache-2.0
"""TLS over an asyncio stream, which sends its alerts.

asyncio's own TLS drops the alert of a failed handshake, and the alert is what a device must see.
"""

import asyncio
import socket
import ssl
import struct
from typing import Any

from amqtt.adapters import ReaderAdapter

_LINGER_S = 5.0


class TlsStream(ReaderAdapter):  # type: ignore[misc]
    """The server's side of one TLS connection, readable by the packet classes of amqtt."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        self._reader = reader
        self._writer = writer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._plain = bytearray()

    async def handshake(self) -> None:
        """Shake hands; raises `ssl.SSLError` after the alert was sent."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._receive()
            except ssl.SSLError:
                self._flush()
                raise
            else:
                self._flush()
                return

    def certificate(self) -> tuple[str, str]:
        """The serial (decimal) and the CN of the client's certificate; empty if it showed none."""
        found: dict[str, Any] = dict(self._tls.getpeercert() or {})
        if not found:
            return "", ""
        names = [str(value) for rdn in found["subject"] for kind, value in rdn if kind == "commonName"]
        return str(int(found["serialNumber"], 16)), names[0] if names else ""

    async def read(self, n: int = -1) -> bytes:
        """Exactly `n` octets; raises `asyncio.IncompleteReadError` at the end of the stream."""
        while len(self._plain) < n:
            try:
                data = self._tls.read(65_536)
            except ssl.SSLWantReadError:
                await self._receive()
                continue
            except ssl.SSLZeroReturnError:  # the peer's close_notify
                data = b""
            if not data:
                raise asyncio.IncompleteReadError(bytes(self._plain), n)
            self._plain += data
        taken = bytes(self._plain[:n])
        del self._plain[:n]
        return taken

    def feed_eof(self) -> None:
        """Nothing to do: the end comes from the peer."""

    def write(self, data: bytes) -> None:
        """Send; what cannot go at once is kept by the transport."""
        self._tls.write(data)
        self._flush()

    def close(self) -> None:
        """Close the connection, with a close_notify."""
        if not self._writer.is_closing():
            self._notify_end()
            self._writer.close()

    def reset(self) -> None:
        """End the connection by a TCP reset."""
        reset(self._writer)

    async def swallow(self) -> None:
        """Never answer again: read what comes until the peer goes."""
        await drain_peer(self._reader, None)
        self._writer.close()

    async def finish(self) -> None:
        """Close so that what was written arrives, even if the peer is still talking."""
        self._notify_end()
        await self.linger()

    async def linger(self) -> None:
        """Close without a reset, which would overtake an alert: end our side, then read what still comes."""
        try:
            self._writer.write_eof()
        except OSError:  # the peer is gone already
            self._writer.close()
        else:
            await drain_peer(self._reader, _LINGER_S)
            self._writer.close()

    def _notify_end(self) -> None:
        try:
            self._tls.unwrap()
        except ssl.SSLError:  # the peer's own close_notify is not waited for
            pass
        finally:
            self._flush()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._writer.write(data)

    async def _receive(self) -> None:
        self._flush()
        data = await self._reader.read(65_536)
        if not data:
            raise asyncio.IncompleteReadError(b"", None)
        self._incoming.write(data)


async def drain_peer(reader: asyncio.StreamReader, seconds: float | None) -> None:
    """Read and forget until the peer closes, at most so long."""
    try:
        async with asyncio.timeout(seconds):
            while await reader.read(65_536):
                pass
    except (TimeoutError, ConnectionError):  # the peer had its time, or went with a reset
        return


def reset(writer: asyncio.StreamWriter) -> None:
    """End a TCP connection by a reset."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
