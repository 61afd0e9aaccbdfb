# SPDX-License-Identifier: Apache-2.0
"""Feature toggles: an operator turns the certificate authority on, for his tenant or from the management tenant."""

from typing import Any

from aiohttp import web

from tenant.paging import answer
from tenant.settings import TENANT_MANAGER, Settings
from tenant.tokens import MANAGEMENT_ID, TENANT_ID
from tenant.web import Callers, read_json, refusal

CERTIFICATE_AUTHORITY = "certificate-authority"


class Features:
    """The handlers; the one feature that there is belongs to the settings, so that a test can look at it there."""

    def __init__(self, settings: Settings, callers: Callers) -> None:
        self._settings = settings
        self._callers = callers
        self._management = "default"

    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        one = "/features/{key}"
        return [
            web.get("/features", self.list_all),
            web.get(one, self.get),
            web.get(one + "/by-tenant", self.by_tenant),
            web.put(one + "/by-tenant", self.put),
            web.delete(one + "/by-tenant", self.delete),
            web.put(one + "/by-tenant/{tenant}", self.put),
            web.delete(one + "/by-tenant/{tenant}", self.delete),
        ]

    def _value(self, tenant: str) -> str:
        return self._settings.certificate_authority_feature if tenant == TENANT_ID else self._management

    def _show(self, tenant: str) -> dict[str, Any]:
        value = self._value(tenant)
        return {
            "key": CERTIFICATE_AUTHORITY,
            "phase": "PUBLIC_PREVIEW",
            "active": value == "on",
            "strategy": "DEFAULT" if value == "default" else "TENANT",
        }

    def _known(self, request: web.Request) -> None:
        key = request.match_info["key"]
        if key != CERTIFICATE_AUTHORITY:
            raise refusal(404, "feature/notFound", f"Feature with key '{key}' not found")

    def _set(self, request: web.Request, value: str) -> str:
        """Change the value for the tenant that the path names, else the caller's own; returns which it was."""
        operator = self._callers.need(request, TENANT_MANAGER)
        tenant = request.match_info.get("tenant", operator.tenant)
        if tenant != operator.tenant and not operator.manages:
            raise refusal(403, "security/Forbidden", "Access is denied")
        self._known(request)
        if tenant == TENANT_ID:
            self._settings.certificate_authority_feature = value
        elif tenant == MANAGEMENT_ID:
            self._management = value
        else:
            raise refusal(404, "tenant/notFound", f"Could not find tenant {tenant}")
        return tenant

    async def list_all(self, request: web.Request) -> web.Response:
        """All features as they are for the caller's tenant."""
        return answer("", [self._show(self._callers.need(request).tenant)])

    async def get(self, request: web.Request) -> web.Response:
        """One feature as it is for the caller's tenant."""
        operator = self._callers.need(request)
        self._known(request)
        return answer("", self._show(operator.tenant))

    async def by_tenant(self, request: web.Request) -> web.Response:
        """The tenants with a value of their own, for the management tenant."""
        if not self._callers.need(request, TENANT_MANAGER).manages:
            raise refusal(403, "security/Forbidden", "Access is denied")
        self._known(request)
        tenants = [each for each in (TENANT_ID, MANAGEMENT_ID) if self._value(each) != "default"]
        return answer("", [{"tenantId": each, "active": self._value(each) == "on"} for each in tenants])

    async def put(self, request: web.Request) -> web.Response:
        """Turn it on or off."""
        self._callers.need(request, TENANT_MANAGER)
        active = (await read_json(request)).get("active")
        if not isinstance(active, bool):
            raise refusal(400, "general/invalidData", '"active" must be true or false')
        return answer("", self._show(self._set(request, "on" if active else "off")))

    async def delete(self, request: web.Request) -> web.Response:
        """Back to what the platform has."""
        return answer("", self._show(self._set(request, "default")))
