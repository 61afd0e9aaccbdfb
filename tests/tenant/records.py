# SPDX-License-Identifier: Apache-2.0
"""Alarms and operations: what is kept of a device, one by one, each with a status."""

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tenant.paging import answer, page, url_of
from tenant.state import State
from tenant.web import Callers, read_json, refusal


@dataclass(frozen=True)
class Kind:
    """What differs between alarms and operations."""

    path: str
    media: str
    collection: str
    required: tuple[str, ...]
    states: tuple[str, ...]
    filters: tuple[str, ...]


ALARMS = Kind(
    "/alarm/alarms", "alarm", "alarms", ("type", "text", "severity"),
    ("ACTIVE", "ACKNOWLEDGED", "CLEARED"), ("status", "type", "severity"),
)  # fmt: skip
OPERATIONS = Kind(
    "/devicecontrol/operations", "operation", "operations", ("deviceId",),
    ("PENDING", "EXECUTING", "SUCCESSFUL", "FAILED"), ("status", "deviceId"),
)  # fmt: skip


@dataclass
class Records:
    """The handlers of one kind."""

    kind: Kind
    state: State
    callers: Callers

    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        path = self.kind.path
        return [
            web.post(path, self.create),
            web.get(path, self.list_all),
            web.get(path + "/{id}", self.get),
            web.put(path + "/{id}", self.put),
        ]

    @property
    def _kept(self) -> dict[str, dict[str, Any]]:
        return self.state.records.setdefault(self.kind.path, {})

    def _show(self, request: web.Request, found: dict[str, Any]) -> dict[str, Any]:
        return {**found, "self": url_of(request, f"{self.kind.path}/{found['id']}")}

    def _source(self, content: dict[str, Any]) -> str:
        """The object that it is about; raises 422 unless there is one."""
        source = content.get("source")
        number = content.get("deviceId") if self.kind is OPERATIONS else isinstance(source, dict) and source.get("id")
        if not isinstance(number, str) or number not in self.state.objects:
            raise refusal(422, f"{self.kind.media}/unprocessable", f"there is no managed object {number!r}")
        return number

    def _check_status(self, content: dict[str, Any]) -> None:
        if content.get("status", self.kind.states[0]) not in self.kind.states:
            raise refusal(422, f"{self.kind.media}/unprocessable", f"status: expected one of {self.kind.states}")

    async def create(self, request: web.Request) -> web.Response:
        """Keep one; it begins with the first of its states."""
        self.callers.anyone(request)
        content = await read_json(request)
        if missing := [name for name in self.kind.required if not isinstance(content.get(name), str)]:
            raise refusal(422, f"{self.kind.media}/unprocessable", f"missing: {', '.join(missing)}")
        self._check_status(content)
        self._source(content)
        made = self.state.add_record(self.kind.path, {"status": self.kind.states[0], **content})
        return answer(self.kind.media, self._show(request, made), 201)

    async def list_all(self, request: web.Request) -> web.Response:
        """All of them, or those of a device or state."""
        self.callers.anyone(request)
        query = request.query
        found = [
            self._show(request, each)
            for each in self._kept.values()
            if all(each.get(name) == query[name] for name in self.kind.filters if name in query)
            and query.get("source", "") in ("", (each.get("source") or {}).get("id"))
        ]
        return page(request, f"{self.kind.media}collection", self.kind.collection, found)

    def _one(self, request: web.Request) -> dict[str, Any]:
        self.callers.anyone(request)
        found = self._kept.get(request.match_info["id"])
        if found is None:
            raise refusal(
                404, f"{self.kind.media}/notFound", f"there is no {self.kind.media} {request.match_info['id']}"
            )
        return found

    async def get(self, request: web.Request) -> web.Response:
        """One of them."""
        return answer(self.kind.media, self._show(request, self._one(request)))

    async def put(self, request: web.Request) -> web.Response:
        """Change one, its status above all."""
        found = self._one(request)
        content = await read_json(request)
        self._check_status(content)
        fixed: dict[str, Any] = {n: found[n] for n in ("id", "source", "deviceId", "creationTime") if n in found}
        found.update({**content, **fixed})
        return answer(self.kind.media, self._show(request, found))
