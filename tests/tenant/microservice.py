# SPDX-License-Identifier: Apache-2.0
"""A microservice deployed in the tenant: it signs for the device that posts its CSR."""

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tenant.authority import pem
from tenant.est import Issuer
from tenant.leaf import load_request
from tenant.settings import Settings
from tenant.web import Callers, refusal


class Microservice:
    """The handlers; the settings say what the microservice is called, and without a name there is none."""

    def __init__(self, settings: Settings, callers: Callers, issuer: Issuer) -> None:
        self._settings = settings
        self._callers = callers
        self._issuer = issuer

    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        return [web.post("/service/{name}/renew", self.renew)]

    async def renew(self, request: web.Request) -> web.Response:
        """The certificate for a CSR in PEM, as PEM."""
        device = self._callers.device(request)
        name = request.match_info["name"]
        if name != self._settings.microservice:
            raise refusal(404, "microservice/notFound", f"Microservice {name} not found")
        try:
            der = x509.load_pem_x509_csr(await request.read()).public_bytes(Encoding.DER)
            parsed, common_name = load_request(der)
        except ValueError as error:
            raise refusal(400, "microservice/badRequest", f"not a CSR in PEM: {error}") from error
        if common_name != device:
            raise refusal(403, "security/Forbidden", f"the CSR is for {common_name!r}, the token for {device!r}")
        leaf, _ = self._issuer.issue(parsed, device, name)
        return web.Response(text=pem(leaf))
