# SPDX-License-Identifier: Apache-2.0
"""How an operator lets devices in: one by one, or many from a table."""

import csv
import io
from typing import Any

from aiohttp import web

from tenant.paging import answer, page, url_of
from tenant.settings import DEVICE_ADMIN
from tenant.state import State
from tenant.tokens import TENANT_ID
from tenant.web import Callers, read_form, read_json, refusal

WAITING, PENDING, ACCEPTED = "WAITING_FOR_CONNECTION", "PENDING_ACCEPTANCE", "ACCEPTED"
_SHORTEST, _LONGEST = 8, 32
_KIND = "newdevicerequest"
_AGENT = "com_cumulocity_model_Agent.active"


def register(state: State, device: str, password: str | None, **more: Any) -> dict[str, Any]:
    """Open the registration of a device; raises 409 if it is open already.

    With a password it is accepted at once; without one the device's own is accepted by and by.
    """
    if device in state.registrations:
        raise refusal(409, "devicecontrol/Conflict", f"New device request with id '{device}' already exists")
    shown = {**more, "id": device, "tenantId": TENANT_ID, "status": ACCEPTED if password else WAITING}
    state.registrations[device] = {"password": password, "shown": shown}
    return shown


def may_enrol(state: State, device: str, password: str) -> bool:
    """Whether the device has the password of its registration; without one it is noted for the operator."""
    found = state.registrations.get(device)
    if found is None or not password:
        return False
    if found["password"] is None:
        found["asked"], found["shown"]["status"] = password, PENDING
    return bool(found["password"] == password)


def _password(content: dict[str, Any]) -> str | None:
    """The one-time password of a request, if it has one; raises 422."""
    password = content.pop("enrollmentToken", None) or content.pop("securityToken", None)
    if password is not None and not (isinstance(password, str) and _SHORTEST <= len(password) <= _LONGEST):
        length = f"from {_SHORTEST} to {_LONGEST} characters"
        raise refusal(422, "devicecontrol/invalidData", f"enrollmentToken: expected {length}")
    return password


class Registration:
    """The handlers."""

    def __init__(self, state: State, callers: Callers) -> None:
        self._state = state
        self._callers = callers

    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        requests = "/devicecontrol/newDeviceRequests"
        one = requests + "/{id}"
        return [
            web.post(requests, self.create),
            web.get(requests, self.list_all),
            web.get(one, self.get),
            web.put(one, self.put),
            web.delete(one, self.delete),
            web.post("/devicecontrol/bulkNewDeviceRequests", self.create_many),
        ]

    def _show(self, request: web.Request, shown: dict[str, Any]) -> dict[str, Any]:
        return {**shown, "self": url_of(request, f"/devicecontrol/newDeviceRequests/{shown['id']}")}

    def _one(self, request: web.Request) -> dict[str, Any]:
        self._callers.need(request, DEVICE_ADMIN)
        device = request.match_info["id"]
        if device not in self._state.registrations:
            raise refusal(404, "devicecontrol/notFound", f"New device request with id '{device}' not found")
        return self._state.registrations[device]

    async def create(self, request: web.Request) -> web.Response:
        """The operator announces a device, usually with its one-time password."""
        self._callers.need(request, DEVICE_ADMIN)
        content = await read_json(request)
        device = content.pop("id", None)
        if not isinstance(device, str) or not device:
            raise refusal(422, "devicecontrol/invalidData", "id: expected the external id of the device")
        shown = register(self._state, device, _password(content), **content)
        return answer(_KIND, self._show(request, shown), 201)

    async def list_all(self, request: web.Request) -> web.Response:
        """What waits for its device."""
        self._callers.need(request, DEVICE_ADMIN)
        found = [self._show(request, each["shown"]) for each in self._state.registrations.values()]
        return page(request, _KIND + "collection", "newDeviceRequests", found)

    async def get(self, request: web.Request) -> web.Response:
        """One of them."""
        return answer(_KIND, self._show(request, self._one(request)["shown"]))

    async def put(self, request: web.Request) -> web.Response:
        """Accept a device that has asked with a password of its own."""
        found = self._one(request)
        wanted, status = (await read_json(request)).get("status"), found["shown"]["status"]
        if wanted != ACCEPTED or status == WAITING:
            raise refusal(422, "devicecontrol/invalidData", f"status: no way from {status} to {wanted}")
        found["shown"]["status"], found["password"] = ACCEPTED, found["password"] or found["asked"]
        return answer(_KIND, self._show(request, found["shown"]))

    async def delete(self, request: web.Request) -> web.Response:
        """Let a device in no more."""
        del self._state.registrations[self._one(request)["shown"]["id"]]
        return web.Response(status=204)

    async def create_many(self, request: web.Request) -> web.Response:
        """Announce the devices of a CSV file, sent as a form; a line that is wrong does not keep out the others."""
        self._callers.need(request, DEVICE_ADMIN)
        created: list[str] = []
        updated: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for line, row in _rows(await _file(request)):
            try:
                self._take(row, created, updated)
            except web.HTTPException as error:
                reason = str(error.text)
                failed.append({"bulkNewDeviceStatus": "FAILED", "line": line, "failureReason": reason})
                failed[-1] |= {"deviceId": row["ID"]} if row.get("ID") else {}
        good = len(created) + len(updated)
        counts = {"numberOfAll": good + len(failed), "numberOfCreated": len(created), "numberOfFailed": len(failed)}
        lists = {"credentialUpdatedList": updated, "failedCreationList": failed}
        return answer("bulknewdevicerequest", {**counts, "numberOfSuccessful": good, **lists}, 201)

    def _take(self, row: dict[str, str], created: list[str], updated: list[dict[str, Any]]) -> None:
        device = row.get("ID", "")
        if not device:
            raise refusal(422, "devicecontrol/invalidData", "ID: expected the external id of the device")
        password = _password({"enrollmentToken": row.get("ENROLLMENT_OTP") or row.get("CREDENTIALS") or None})
        if password is None and row.get("AUTH_TYPE") != "CERTIFICATES":
            raise refusal(422, "devicecontrol/invalidData", "expected ENROLLMENT_OTP or CREDENTIALS")
        kind, known = row.get("IDTYPE") or "c8y_Serial", device in self._state.registrations
        if password:
            self._state.registrations.pop(device, None)
            register(self._state, device, password, type=row.get("TYPE", ""))
        if (kind, device) not in self._state.identities:
            content: dict[str, Any] = {"name": row.get("NAME") or device, "type": row.get("TYPE", "")}
            if row.get(_AGENT) == "true":
                content["com_cumulocity_model_Agent"] = {}
            self._state.identities[(kind, device)] = self._state.add_device(device, content)["id"]
        if known:
            updated.append({"bulkNewDeviceStatus": "CREDENTIAL_UPDATED", "deviceId": device})
        else:
            created.append(device)


async def _file(request: web.Request) -> str:
    """The file of a form; raises 422 for anything that is none."""
    try:
        sent = (await read_form(request)).get("file")
        content = sent.file.read() if isinstance(sent, web.FileField) else sent
        text = content.decode("utf-8-sig") if isinstance(content, bytes | bytearray) else content
    except ValueError as error:
        raise refusal(422, "devicecontrol/invalidData", f"not a form with a file: {error}") from error
    if not text or not text.strip():
        raise refusal(422, "devicecontrol/invalidData", "the file is empty")
    return str(text)


def _rows(text: str) -> list[tuple[str, dict[str, str]]]:
    """The lines of a table after its head, each with its cells by their names; raises 422."""
    head = text.lstrip().splitlines()[0]
    delimiter = max(",;\t", key=head.count)
    try:
        table = list(csv.reader(io.StringIO(text.strip(), newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise refusal(422, "devicecontrol/invalidData", f"not a table: {error}") from error
    names = [each.strip() for each in table[0]]
    if "ID" not in names:
        raise refusal(422, "devicecontrol/invalidData", "the first line names no column ID")
    return [(delimiter.join(row), dict(zip(names, row, strict=False))) for row in table[1:] if any(row)]
