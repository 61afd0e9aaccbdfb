# SPDX-License-Identifier: Apache-2.0
"""What the HTTPS handlers share: who asks, error bodies, the log of requests."""

import binascii
import json
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from tenant.faults import Fault
from tenant.settings import ROLES, Settings
from tenant.state import State
from tenant.tokens import MANAGEMENT_ID, TENANT_ID, TokenError, Tokens

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LOG = web.RequestKey("log", dict[str, Any])
BEND = web.RequestKey("bend", Fault)


@dataclass(frozen=True)
class Operator:
    """A person, of this tenant or of the one that manages it."""

    tenant: str
    name: str
    roles: tuple[str, ...]

    @property
    def manages(self) -> bool:
        """Whether this user belongs to the management tenant."""
        return self.tenant == MANAGEMENT_ID


@dataclass(frozen=True)
class Callers:
    """Tells who asks."""

    settings: Settings
    tokens: Tokens

    def operator(self, request: web.Request) -> Operator | None:
        """The operator who asks, by password (as `user` or `tenant/user`) or by the token of a login."""
        user, password = basic(request)
        if user:
            return self.login(user, password)
        try:
            subject = self.tokens.subject(_bearer(request))
        except (TokenError, ValueError):  # no token, or not a good one
            return None
        return next((each for each, _ in self._known() if subject == f"{each.tenant}/{each.name}"), None)

    def login(self, user: str, password: str) -> Operator | None:
        """The operator with this name and password."""
        for each, wanted in self._known():
            if user in (each.name, f"{each.tenant}/{each.name}") and password == wanted:
                return each
        return None

    def _known(self) -> list[tuple[Operator, str]]:
        settings = self.settings
        roles = tuple(settings.operator_roles)
        return [
            (Operator(TENANT_ID, settings.operator_user, roles), settings.operator_password),
            (Operator(MANAGEMENT_ID, settings.management_user, tuple(ROLES)), settings.management_password),
        ]

    def need(self, request: web.Request, role: str = "") -> Operator:
        """The operator, who has this role; raises 401 or 403."""
        found = self.operator(request)
        if found is None:
            raise refusal(401, "security/Unauthorized", "Full authentication is required to access this resource")
        if role and role not in found.roles:
            raise refusal(403, "security/Forbidden", "Access is denied")
        return found

    def device(self, request: web.Request) -> str:
        """The device whose token, or user and password, the request carries; raises 401."""
        user, password = basic(request)
        if user and self.settings.device_users.get(user) == password:
            return user.rpartition("/")[2]
        token = _bearer(request)
        if not token:
            raise refusal(401, "security/Unauthorized", "Full authentication is required to access this resource")
        try:
            return self.tokens.device(token)
        except (TokenError, ValueError) as error:
            raise refusal(401, "security/Unauthorized", f"Invalid credentials! {error}") from error

    def anyone(self, request: web.Request) -> str:
        """The operator's name or the device; raises 401 for anybody else."""
        found = self.operator(request)
        return found.name if found else self.device(request)


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def basic(request: web.Request) -> tuple[str, str]:
    """User and password of HTTP Basic; empty if there are none."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):  # not credentials
        return "", ""
    return user, password


_REFUSALS: dict[int, type[web.HTTPException]] = {
    400: web.HTTPBadRequest,
    401: web.HTTPUnauthorized,
    403: web.HTTPForbidden,
    404: web.HTTPNotFound,
    409: web.HTTPConflict,
    422: web.HTTPUnprocessableEntity,
    429: web.HTTPTooManyRequests,
}


def refusal(status: int, error: str, message: str, headers: dict[str, str] | None = None) -> web.HTTPException:
    """An error as Cumulocity words it, ready to be raised."""
    body = {
        "error": error,
        "message": message,
        "info": "https://www.cumulocity.com/guides/reference/rest-implementation",
    }
    content_type = "application/vnd.com.nsn.cumulocity.error+json"
    return _REFUSALS[status](text=json.dumps(body), content_type=content_type, headers=headers)


async def read_json(request: web.Request) -> dict[str, Any]:
    """The body, a JSON object; raises 400."""
    try:
        content = await request.json()
    except ValueError as error:
        raise refusal(400, "general/invalidData", f"not JSON: {error}") from error
    if not isinstance(content, dict):
        raise refusal(400, "general/invalidData", "expected a JSON object")
    return content


async def read_form(request: web.Request) -> Mapping[str, str | bytearray | bytes | web.FileField]:
    """The fields of a form; raises 400."""
    try:
        return dict(await request.post())
    except (ValueError, AssertionError, HttpProcessingError) as error:
        raise refusal(400, "general/invalidData", f"not a form: {error}") from error


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
    except web.HTTPException:  # without a valid token there is no name
        return None
