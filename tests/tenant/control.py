# SPDX-License-Identifier: Apache-2.0
"""The interface by which a test steers the tenant and looks into it: HTTP and JSON, on loopback only."""

import asyncio
from typing import Any

from aiohttp import web
from asn1crypto import pem as armour

from tenant.authority import key_pem, new_key, pem
from tenant.est import Issuer
from tenant.faults import FaultList
from tenant.leaf import load_request, new_request
from tenant.registration import register
from tenant.settings import Settings, merge, show
from tenant.state import Device, Kept, State
from tenant.waiting import is_as_wanted, select


async def _object(request: web.Request, *needed: str) -> dict[str, Any]:
    """The JSON object of a request; raises 400 for anything else."""
    content = await request.json()
    if not isinstance(content, dict):
        raise ValueError("expected a JSON object")
    if missing := [name for name in needed if name not in content]:
        raise ValueError(f"missing: {', '.join(missing)}")
    return content


@web.middleware
async def _say_what_is_wrong(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        answer: web.StreamResponse = await handler(request)
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)
    return answer


class Control:
    """The handlers of the control interface."""

    def __init__(self, settings: Settings, faults: FaultList, state: State, issuer: Issuer) -> None:
        self._settings = settings
        self._faults = faults
        self._state = state
        self._issuer = issuer
        self._kept: dict[str, tuple[dict[str, Any], Kept]] = {}

    def application(self) -> web.Application:
        """The application that serves them."""
        application = web.Application(middlewares=[_say_what_is_wrong])
        application.add_routes(
            [
                web.get("/settings", self.settings),
                web.patch("/settings", self.change_settings),
                web.put("/settings", self.change_settings),
                web.post("/faults", self.add_fault),
                web.delete("/faults", self.clear_faults),
                web.get("/state", self.state),
                web.delete("/state/messages", self.clear_messages),
                web.put("/state/kept/{name}", self.keep),
                web.post("/state/kept/{name}", self.restore),
                web.post("/register", self.register),
                web.post("/issue", self.issue),
                web.post("/revoke", self.revoke),
                web.post("/revoke-tokens", self.revoke_tokens),
                web.get("/wait", self.wait),
                web.get("/devices/{id}", self.device),
                web.get("/devices/{id}/messages", self.messages),
                web.post("/devices/{id}/publish", self.publish),
                web.delete("/devices/{id}/connection", self.drop),
            ]
        )
        return application

    async def settings(self, _request: web.Request) -> web.Response:
        """All settings."""
        return web.json_response(show(self._settings, self._faults))

    async def change_settings(self, request: web.Request) -> web.Response:
        """Change some settings; the others stay."""
        merge(self._settings, self._faults, await _object(request))
        self._state.version += 1
        return await self.settings(request)

    async def add_fault(self, request: web.Request) -> web.Response:
        """Add a fault to those in force."""
        self._faults.add(await _object(request))
        self._state.version += 1
        return await self.settings(request)

    async def clear_faults(self, request: web.Request) -> web.Response:
        """No fault from now on."""
        self._faults.replace([])
        self._state.version += 1
        return await self.settings(request)

    async def state(self, _request: web.Request) -> web.Response:
        """Everything but the messages."""
        state = self._state
        return web.json_response(
            {
                "settings": show(self._settings, self._faults),
                "devices": {device.id: device.show() for device in state.devices.values()},
                "requests": state.requests,
                "registrations": [r["shown"] for r in state.registrations.values()],
                "trusted": list(state.trusted.values()),
                "objects": list(state.objects.values()),
                "revoked": sorted(state.revoked),
                "failed_handshakes": list(state.failed_handshakes),
            }
        )

    async def clear_messages(self, _request: web.Request) -> web.Response:
        """Forget the messages and the log of requests, which a bench would pile up."""
        for device in self._state.devices.values():
            device.messages.clear()
        self._state.requests.clear()
        return web.json_response({})

    async def keep(self, request: web.Request) -> web.Response:
        """Keep settings and state under a name."""
        self._kept[request.match_info["name"]] = show(self._settings, self._faults), self._state.keep()
        return web.json_response({})

    async def restore(self, request: web.Request) -> web.Response:
        """Take back what was kept under a name; raises ValueError without it."""
        name = request.match_info["name"]
        if name not in self._kept:
            raise ValueError(f"nothing was kept as {name}")
        settings, state = self._kept[name]
        merge(self._settings, self._faults, settings | {"faults": []})
        self._state.restore(state)
        return web.json_response({})

    async def register(self, request: web.Request) -> web.Response:
        """Register a device as the operator would; an open registration is replaced."""
        content = await _object(request, "device", "password")
        self._state.registrations.pop(content["device"], None)
        return web.json_response(register(self._state, content["device"], content["password"]), status=201)

    async def issue(self, request: web.Request) -> web.Response:
        """Sign a CSR, or make a key and a certificate for a device."""
        content = await _object(request)
        key = None
        if "csr" in content:
            der = armour.unarmor(str(content["csr"]).encode())[2]
            parsed, device = load_request(der)
        else:
            key, device = new_key(), str((await _object(request, "device"))["device"])
            parsed = new_request(device, key)
        der, issued = self._issuer.issue(
            parsed,
            device,
            "issue",
            offset_s=content.get("not_before_offset_s"),
            lifetime_s=content.get("lifetime_s"),
        )
        answer = {"certificate": pem(der), "serial": issued.serial, "key": key_pem(key) if key else None}
        return web.json_response(answer | {"chain": "".join(map(pem, self._issuer.authority.chain))}, status=201)

    async def revoke(self, request: web.Request) -> web.Response:
        """Accept a certificate no more; an open connection stays."""
        self._state.revoked.add(str((await _object(request, "serial"))["serial"]))
        self._state.version += 1
        return web.json_response({"revoked": sorted(self._state.revoked)})

    async def revoke_tokens(self, _request: web.Request) -> web.Response:
        """Accept no token that was given so far."""
        self._settings.token_epoch += 1
        return web.json_response({"token_epoch": self._settings.token_epoch})

    def _device(self, request: web.Request) -> Device:
        return self._state.device(request.match_info["id"])

    async def device(self, request: web.Request) -> web.Response:
        """One device."""
        return web.json_response(self._device(request).show())

    async def messages(self, request: web.Request) -> web.Response:
        """The messages of a device with an index of `since` and above."""
        query = request.query
        found = select(self._device(request), query.get("topic"), int(query.get("since", 0)))
        return web.json_response({"messages": found, "next": self._device(request).next_index()})

    async def publish(self, request: web.Request) -> web.Response:
        """Publish something to a device; 409 if it is not there or not subscribed."""
        content = await _object(request, "topic", "payload")
        session = self._device(request).session
        payload = str(content["payload"]).encode()
        sent = session is not None and session.send(content["topic"], payload, int(content.get("qos", 0)))
        return web.json_response({"sent": sent}, status=200 if sent else 409)

    async def drop(self, request: web.Request) -> web.Response:
        """Close the MQTT connection of a device."""
        session = self._device(request).session
        if session is not None:
            session.close("dropped")
        return web.json_response({"dropped": session is not None})

    async def wait(self, request: web.Request) -> web.Response:
        """Answer when a device is as the query wants it, or with 408."""
        device = self._state.device(request.query["device"])
        try:
            async with asyncio.timeout(float(request.query.get("timeout_s", 30))):
                while not is_as_wanted(device, dict(request.query)):
                    await device.next_change().wait()
        except TimeoutError:
            return web.json_response(device.show(), status=408)
        return web.json_response(device.show())
