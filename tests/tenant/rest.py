# SPDX-License-Identifier: Apache-2.0
"""Cumulocity's REST interface, as far as a device and its operator use it around certificates."""

from aiohttp import web

from tenant.authority import Authority
from tenant.features import Features
from tenant.inventory import Inventory
from tenant.paging import answer, url_of
from tenant.records import ALARMS, OPERATIONS, Records
from tenant.registration import Registration
from tenant.settings import Settings
from tenant.state import State
from tenant.tokens import TENANT_ID
from tenant.trusted import TrustedCertificates
from tenant.web import Callers, read_form, refusal


class Rest:
    """All of it; its own handlers are about who asks."""

    def __init__(self, settings: Settings, state: State, callers: Callers, host: str, root: Authority) -> None:
        self._callers = callers
        self._host = host
        self._parts: list[Features | TrustedCertificates | Registration | Inventory | Records] = [
            Features(settings, callers),
            TrustedCertificates(settings, state, callers, root),
            Registration(state, callers),
            Inventory(state, callers),
            Records(ALARMS, state, callers),
            Records(OPERATIONS, state, callers),
        ]

    def routes(self) -> list[web.RouteDef]:
        """Where everything is."""
        return [
            web.get("/tenant/currentTenant", self.current_tenant),
            web.get("/tenant/loginOptions", self.login_options),
            web.post("/tenant/oauth/token", self.login),
            web.post("/tenant/oauth", self.login),
            web.get("/user/currentUser", self.current_user),
            *(route for part in self._parts for route in part.routes()),
            web.route("*", "/{rest:.*}", self.nothing),
        ]

    async def current_tenant(self, request: web.Request) -> web.Response:
        """Which tenant the caller is of."""
        self._callers.anyone(request)
        operator = self._callers.operator(request)
        name = operator.tenant if operator else TENANT_ID
        body = {"name": name, "domainName": self._host, "allowCreateTenants": name != TENANT_ID, "customProperties": {}}
        return answer("currenttenant", {**body, "self": url_of(request)})

    async def login_options(self, request: web.Request) -> web.Response:
        """Return how a person can log in; it takes no credentials."""
        options = [
            {"type": kind, "userManagementSource": "INTERNAL", "visibleOnLoginPage": True}
            for kind in ("BASIC", "OAUTH2_INTERNAL")
        ]
        return answer("loginoptioncollection", {"loginOptions": options, "self": url_of(request)})

    async def login(self, request: web.Request) -> web.Response:
        """A token for user and password: in the answer, or as the cookie that a browser wants."""
        form = await read_form(request)
        operator = self._callers.login(str(form.get("username", "")), str(form.get("password", "")))
        if str(form.get("grant_type", "")).upper() != "PASSWORD":
            raise refusal(422, "security/invalidGrant", "grant_type: expected PASSWORD")
        if operator is None:
            raise refusal(401, "security/Unauthorized", "Invalid credentials! : Bad credentials")
        token = self._callers.tokens.make(f"{operator.tenant}/{operator.name}")
        if request.path.endswith("/token"):
            return answer("", {"access_token": token})
        given = web.Response()
        given.set_cookie("authorization", token, secure=True, httponly=True)
        return given

    async def current_user(self, request: web.Request) -> web.Response:
        """Who asks, and what he may."""
        name, operator = self._callers.anyone(request), self._callers.operator(request)
        roles = operator.roles if operator else ("ROLE_DEVICE",)
        user = name if operator else f"device_{name}"
        effective = [{"id": role, "name": role} for role in roles]
        body = {"id": user, "userName": user, "effectiveRoles": effective, "self": url_of(request)}
        return answer("currentuser", body)

    async def nothing(self, request: web.Request) -> web.Response:
        """Everything that the tenant does not have."""
        raise refusal(404, "notFound", request.path)
