# SPDX-License-Identifier: Apache-2.0
"""Tokens for a client certificate: HTTPS over mutual TLS, on a port of its own.

The TLS of aiohttp drops the alert of a failed handshake, and the alert is what a device must see. So this is a front
as a proxy would be: it ends TLS, says whose certificate it was in a header, and hands the request on.
"""

import asyncio
import re
import ssl
import time
from contextlib import suppress

from aiohttp import web

from tenant.faults import ACCESS_FAULTS, FaultList, Peer
from tenant.httpfaults import do_fault
from tenant.settings import Settings
from tenant.state import State
from tenant.tlsstream import TlsStream
from tenant.tokens import Tokens
from tenant.trust import Trust
from tenant.web import LOG, Callers, log_requests, refusal

_HANDSHAKE_S = 30.0
_LONGEST_HEAD = 65_536
_SERIAL, _NAME = "X-Client-Serial", "X-Client-Name"
# Only the front knows who the client is, and each connection is for one request.
_OURS = re.compile(rb"(?im)^(?:x-client-(?:serial|name)|connection):.*\r\n")


class AccessToken:
    """What is behind the front."""

    def __init__(self, settings: Settings, state: State, faults: FaultList, tokens: Tokens) -> None:
        self._settings = settings
        self._state = state
        self._faults = faults
        self._tokens = tokens

    def application(self) -> web.Application:
        """The application; its requests are kept beside all others."""
        log = log_requests(self._state, Callers(self._settings, self._tokens))
        application = web.Application(middlewares=[log])
        application.add_routes(
            [
                web.post("/devicecontrol/deviceAccessToken", self.give),
                web.route("*", "/{rest:.*}", self.nothing),
            ]
        )
        return application

    async def give(self, request: web.Request) -> web.StreamResponse:
        """A token for the device that the certificate names."""
        serial, device = request.headers[_SERIAL], request.headers[_NAME]
        request[LOG] |= {"device": device, "serial": serial}
        peer = Peer(device=device, serial=serial, issued_at=self._state.issued_at(serial), path=request.path)
        fault = self._faults.take("access", ACCESS_FAULTS, peer)
        return await do_fault(request, fault, self._answer) if fault else await self._answer(request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        serial, device = request.headers[_SERIAL], request.headers[_NAME]
        if not self._settings.device_access_token:
            raise refusal(404, "notFound", request.path)
        if serial in self._state.revoked:
            raise refusal(401, "security/Unauthorized", "Device certificate is revoked")
        if not self._state.issued_at(serial):
            raise refusal(422, "devicecontrol/unprocessable", "Device certificate could not be verified")
        return web.json_response({"accessToken": self._tokens.make(device)})

    async def nothing(self, request: web.Request) -> web.Response:
        """Everything else."""
        raise refusal(404, "notFound", request.path)


class Front:
    """Serves every connection to the port."""

    def __init__(self, state: State, trust: Trust, behind: str) -> None:
        self._state = state
        self._trust = trust
        self._behind = behind

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection: a handshake and a request."""
        peername = writer.get_extra_info("peername")
        stream = TlsStream(reader, writer, self._trust.context())
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                await stream.handshake()
                head = await _read_head(stream)
        except ssl.SSLError as error:
            failure = {"time": time.time(), "address": str(peername[0]) if peername else "", "reason": str(error)}
            self._state.failed_handshakes.append(failure)
            await stream.linger()
        except (ConnectionError, TimeoutError, EOFError, ValueError):
            writer.close()
        else:
            with suppress(ConnectionError, EOFError, ssl.SSLError):
                await self._pass(stream, head)
            await stream.finish()

    async def _pass(self, stream: TlsStream, head: bytes) -> None:
        serial, name = stream.certificate()
        line, _, fields = head.partition(b"\r\n")
        said = f"{_SERIAL}: {serial}\r\n{_NAME}: {name}\r\nConnection: close\r\n".encode()
        back, forth = await asyncio.open_unix_connection(self._behind)
        body = asyncio.create_task(_copy(stream, forth))
        try:
            forth.write(line + b"\r\n" + said + _OURS.sub(b"", fields))
            while data := await back.read(65_536):
                stream.write(data)
        finally:
            body.cancel()
            # It may be waiting for the client, and what comes next waits for him too.
            await asyncio.wait([body])
            forth.close()


async def _copy(stream: TlsStream, writer: asyncio.StreamWriter) -> None:
    """What the client sends after the head; when it hangs up, the request ends too."""
    with suppress(ConnectionError, EOFError, ssl.SSLError):
        while True:
            writer.write(await stream.read(1))
    writer.close()


async def _read_head(stream: TlsStream) -> bytes:
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        head += await stream.read(1)
        if len(head) > _LONGEST_HEAD:
            raise ValueError("the head of the request does not end")
    return bytes(head)
