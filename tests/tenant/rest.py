# SPDX-License-Identifier: Apache-2.0
"""The little of Cumulocity's REST interface that a device and its operator use around certificates."""

from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tenant.state import State
from tenant.tokens import TENANT_ID
from tenant.web import Callers, read_json, refusal


def register(state: State, device: str, password: str, **more: Any) -> dict[str, Any]:
    """Open the registration of a device; raises 409 if it is open already."""
    if device in state.registrations:
        raise refusal(409, "devicecontrol/Conflict", f"a request for {device!r} exists already")
    shown = {**more, "id": device, "status": "WAITING_FOR_CONNECTION"}
    state.registrations[device] = {"password": password, "shown": shown}
    return shown


class Rest:
    """The REST handlers."""

    def __init__(self, state: State, callers: Callers, host: str) -> None:
        self._state = state
        self._callers = callers
        self._host = host

    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        requests, objects = "/devicecontrol/newDeviceRequests", "/inventory/managedObjects"
        certificates = "/tenant/tenants/{tenant}/trusted-certificates"
        return [
            web.post(requests, self.new_device_request),
            web.get(requests, self.list_device_requests),
            web.get("/tenant/currentTenant", self.current_tenant),
            web.post(certificates, self.trust),
            web.get(certificates, self.list_trusted),
            web.post(objects, self.create_object),
            web.get(objects, self.list_objects),
            web.get(objects + "/{id}", self.get_object),
            web.put(objects + "/{id}", self.put_object),
            web.route("*", "/{rest:.*}", self.nothing),
        ]

    def _operator(self, request: web.Request) -> None:
        if not self._callers.is_operator(request):
            raise refusal(401, "security/Unauthorized", "Full authentication is required to access this resource")

    async def new_device_request(self, request: web.Request) -> web.Response:
        """The operator announces a device and its one-time password."""
        self._operator(request)
        content = await read_json(request)
        password = content.pop("enrollmentToken", None) or content.pop("securityToken", None)
        device = content.pop("id", None)
        if not isinstance(device, str) or not device or not isinstance(password, str):
            raise refusal(400, "devicecontrol/invalidData", 'expected "id" and "enrollmentToken"')
        return web.json_response(register(self._state, device, password, **content), status=201)

    async def list_device_requests(self, request: web.Request) -> web.Response:
        """What waits for its device."""
        self._operator(request)
        return web.json_response({"newDeviceRequests": [r["shown"] for r in self._state.registrations.values()]})

    async def current_tenant(self, request: web.Request) -> web.Response:
        """Which tenant this is."""
        self._callers.anyone(request)
        return web.json_response({"name": TENANT_ID, "domainName": self._host})

    async def trust(self, request: web.Request) -> web.Response:
        """The operator uploads a certificate that devices may use from now on."""
        self._operator(request)
        content = await read_json(request)
        try:
            loaded = x509.load_pem_x509_certificate(_armoured(str(content.get("certInPemFormat", ""))))
        except ValueError as error:
            raise refusal(400, "tenant/invalidData", f"certInPemFormat: {error}") from error
        fingerprint = loaded.fingerprint(SHA1()).hex()  # noqa: S303 (the name that Cumulocity gives it)
        if fingerprint in self._state.trusted:
            raise refusal(409, "tenant/Conflict", f"a certificate with the fingerprint {fingerprint} exists already")
        names = loaded.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        device = str(names[0].value) if names else ""
        self._state.add_issued(device, loaded.public_bytes(Encoding.DER), "uploaded")
        stored = {
            **content,
            "certInPemFormat": loaded.public_bytes(Encoding.PEM).decode(),
            "fingerprint": fingerprint,
        }
        self._state.trusted[fingerprint] = stored
        return web.json_response(stored, status=201)

    async def list_trusted(self, request: web.Request) -> web.Response:
        """The uploaded certificates."""
        self._operator(request)
        return web.json_response({"certificates": list(self._state.trusted.values())})

    async def create_object(self, request: web.Request) -> web.Response:
        """Put an object into the inventory."""
        owner = self._callers.anyone(request)
        return web.json_response(self._state.add_object({**await read_json(request), "owner": owner}), status=201)

    async def list_objects(self, request: web.Request) -> web.Response:
        """The inventory."""
        self._callers.anyone(request)
        return web.json_response({"managedObjects": list(self._state.objects.values())})

    def _object(self, request: web.Request) -> dict[str, Any]:
        self._callers.anyone(request)
        found = self._state.objects.get(request.match_info["id"])
        if found is None:
            raise refusal(404, "notFound", request.path)
        return found

    async def get_object(self, request: web.Request) -> web.Response:
        """One object."""
        return web.json_response(self._object(request))

    async def put_object(self, request: web.Request) -> web.Response:
        """Change one object."""
        found = self._object(request)
        found.update({**await read_json(request), "id": found["id"]})
        return web.json_response(found)

    async def nothing(self, request: web.Request) -> web.Response:
        """Everything that the tenant does not have."""
        raise refusal(404, "notFound", request.path)


def _armoured(text: str) -> bytes:
    """PEM with its armour, which some clients leave out."""
    if "-----BEGIN" in text:
        return text.encode()
    return f"-----BEGIN CERTIFICATE-----\n{text.strip()}\n-----END CERTIFICATE-----\n".encode()
