# SPDX-License-Identifier: Apache-2.0
"""What the faults do to an HTTPS request."""

import asyncio
import json
from typing import Any

from aiohttp import web

from tenant.faults import BODY_FAULTS, CERTIFICATE_FAULTS, EST_FAULTS, HTTP_FAULTS, Fault, FaultList, Peer
from tenant.web import BEND, LOG, Handler

_EST_PREFIX = "/.well-known/est/"
_PORTAL = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Welcome to our network.</body></html>\n"


def make_faults(faults: FaultList) -> Any:
    """Middleware that does to a request what the faults say."""

    @web.middleware
    async def fault(request: web.Request, handler: Handler) -> web.StreamResponse:
        peer = Peer(device=str(request[LOG]["device"] or ""), path=request.path)
        est = request.path.startswith(_EST_PREFIX)
        found = faults.take(*(("est", EST_FAULTS) if est else ("http", HTTP_FAULTS)), peer)
        if found is None:
            return await handler(request)
        return await do_fault(request, found, handler)

    return fault


async def do_fault(request: web.Request, found: Fault, handler: Handler) -> web.StreamResponse:
    """Do to a request what the fault says, with what the handler answers where that is wanted."""
    request[LOG]["fault"] = found.do
    if found.do in CERTIFICATE_FAULTS:
        request[BEND] = found
        return await handler(request)
    if found.do in BODY_FAULTS:
        return await _spoil_body(request, found, await handler(request))
    if found.get("after", False):
        await handler(request)
    return await _answer_instead(request, found)


async def _answer_instead(request: web.Request, fault: Fault) -> web.StreamResponse:
    if fault.do == "silence":
        await asyncio.Event().wait()
    if fault.do == "close":
        return _hang_up(request)
    if fault.do == "html":
        return web.Response(text=_PORTAL, content_type="text/html")
    body = fault.get("body", "")
    text = body if isinstance(body, str) else json.dumps(body)
    return web.Response(status=int(fault.spec["status"]), headers=fault.get("headers", {}), text=text)


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _spoil_body(request: web.Request, fault: Fault, answer: web.StreamResponse) -> web.StreamResponse:
    """Spoil the body of a good answer; the certificate was issued, and the password is spent."""
    if not isinstance(answer, web.Response) or not isinstance(answer.body, bytes):
        raise TypeError(f"an answer whose body cannot be spoilt: {answer!r}")
    good = answer.body
    if fault.do == "drip":
        return await _send(request, answer, good, float(fault.get("interval_s", 1)))
    if fault.do == "truncated":
        return await _send(request, answer, good, None)
    if fault.do == "oversized":
        # The certificate is in it, so that only a limit on the size refuses it.
        answer.body = good + b"\n" * (int(fault.get("size", (1 << 20) + 1)) - len(good))
    else:
        answer.body = b"" if fault.do == "empty" else b"\x00\xff garbage \xfe" * 20
    return answer


async def _send(
    request: web.Request, answer: web.Response, body: bytes, interval_s: float | None
) -> web.StreamResponse:
    """Send a body octet by octet, or (without an interval) half of it."""
    stream = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})
    stream.content_length = len(body)
    request[LOG]["status"] = answer.status
    await stream.prepare(request)
    if interval_s is None:
        await stream.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.close()
        return stream
    for at in range(len(body)):
        await stream.write(body[at : at + 1])
        await asyncio.sleep(interval_s)
    return stream
