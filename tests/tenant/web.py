# SPDX-License-Identifier: Apache-2.0
"""What the HTTPS handlers share: who asks, error bodies, the log of requests."""

import binascii
import json
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tenant.faults import Fault
from tenant.settings import Settings
from tenant.state import State
from tenant.tokens import TokenError, Tokens

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LOG = web.RequestKey("log", dict[str, Any])
BEND = web.RequestKey("bend", Fault)


@dataclass(frozen=True)
class Callers:
    """Tells who asks."""

    settings: Settings
    tokens: Tokens

    def is_operator(self, request: web.Request) -> bool:
        """Whether the operator asks, with his password."""
        return basic(request) == (self.settings.operator_user, self.settings.operator_password)

    def device(self, request: web.Request) -> str:
        """The device whose token the request carries; raises 401."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise refusal(401, "security/Unauthorized", "Full authentication is required to access this resource")
        try:
            return self.tokens.device(token.strip())
        except (TokenError, ValueError) as error:
            raise refusal(401, "security/Unauthorized", f"Invalid credentials! {error}") from error

    def anyone(self, request: web.Request) -> str:
        """The operator's name or the device; raises 401 for anybody else."""
        return self.settings.operator_user if self.is_operator(request) else self.device(request)


def basic(request: web.Request) -> tuple[str, str]:
    """User and password of HTTP Basic; empty if there are none."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):  # not credentials, so nobody's
        return "", ""
    return user, password


def refusal(status: int, error: str, message: str) -> web.HTTPException:
    """An error as Cumulocity words it, ready to be raised."""
    body = {
        "error": error,
        "message": message,
        "info": "https://www.cumulocity.com/guides/reference/rest-implementation",
    }
    kinds: dict[int, type[web.HTTPException]] = {
        400: web.HTTPBadRequest,
        401: web.HTTPUnauthorized,
        403: web.HTTPForbidden,
        404: web.HTTPNotFound,
        409: web.HTTPConflict,
    }
    return kinds[status](text=json.dumps(body), content_type="application/json")


async def read_json(request: web.Request) -> dict[str, Any]:
    """The body, a JSON object; raises 400."""
    try:
        content = await request.json()
    except ValueError as error:
        raise refusal(400, "general/invalidData", f"not JSON: {error}") from error
    if not isinstance(content, dict):
        raise refusal(400, "general/invalidData", "expected a JSON object")
    return content


def log_requests(state: State, callers: Callers) -> Any:
    """Middleware that keeps every request with what became of it."""

    @web.middleware
    async def log(request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() != "authorization"}
        scheme = request.headers.get("Authorization", "").partition(" ")[0]
        entry = {"time": time.time(), "method": request.method, "path": request.path, "headers": headers}
        entry |= {
            "authorization": scheme or None,
            "device": _who(request, callers),
            "status": None,
            "fault": None,
        }
        state.requests.append(entry)
        request[LOG] = entry
        try:
            response = await handler(request)
        except web.HTTPException as error:
            entry["status"] = error.status
            raise
        entry["status"] = response.status if entry["status"] is None else entry["status"]
        return response

    return log


def _who(request: web.Request, callers: Callers) -> str | None:
    """The device that seems to ask, for the log and for faults; whether it may is asked later."""
    user = basic(request)[0]
    if user:
        return user
    try:
        return callers.device(request)
    except web.HTTPException:  # somebody without a good token has no name
        return None
