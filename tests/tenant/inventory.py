# SPDX-License-Identifier: Apache-2.0
"""The inventory, and the external ids by which its objects are found."""

from typing import Any

from aiohttp import web

from tenant.paging import answer, page, url_of
from tenant.query import matches
from tenant.state import State
from tenant.web import Callers, read_json, refusal


class Inventory:
    """The handlers."""

    def __init__(self, state: State, callers: Callers) -> None:
        self._state = state
        self._callers = callers

    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        objects, of_object = "/inventory/managedObjects", "/identity/globalIds/{id}/externalIds"
        identity = "/identity/externalIds/{type}/{external}"
        return [
            web.post(objects, self.create),
            web.get(objects, self.list_all),
            web.get(objects + "/{id}", self.get),
            web.put(objects + "/{id}", self.put),
            web.delete(objects + "/{id}", self.delete),
            web.post(of_object, self.name),
            web.get(of_object, self.names),
            web.get(identity, self.find),
            web.delete(identity, self.forget),
        ]

    def _show(self, request: web.Request, found: dict[str, Any]) -> dict[str, Any]:
        return {**found, "self": url_of(request, f"/inventory/managedObjects/{found['id']}")}

    def _object(self, request: web.Request) -> dict[str, Any]:
        self._callers.anyone(request)
        found = self._state.objects.get(request.match_info["id"])
        if found is None:
            number = request.match_info["id"]
            raise refusal(
                404, "inventory/notFound", f"Finding device data from database failed : No managedObject {number}"
            )
        return found

    async def create(self, request: web.Request) -> web.Response:
        """Put an object into the inventory."""
        owner = self._callers.anyone(request)
        made = self._state.add_object({**await read_json(request), "owner": owner})
        return answer("managedobject", self._show(request, made), 201)

    async def list_all(self, request: web.Request) -> web.Response:
        """The inventory, or what of it has this type, owner or fragment, or answers a query (`q`: devices only)."""
        self._callers.anyone(request)
        query = request.query
        wanted = {name: query[name] for name in ("type", "owner") if name in query}
        fragments = [query["fragmentType"]] if query.get("fragmentType") else []
        fragments += ["c8y_IsDevice"] if "q" in query else []
        asked = query.get("q", query.get("query", ""))
        found = [
            self._show(request, each)
            for each in self._state.objects.values()
            if all(each.get(name) == value for name, value in wanted.items())
            and all(fragment in each for fragment in fragments)
            and matches(asked, each)
        ]
        return page(request, "managedobjectcollection", "managedObjects", found)

    async def get(self, request: web.Request) -> web.Response:
        """One object."""
        return answer("managedobject", self._show(request, self._object(request)))

    async def put(self, request: web.Request) -> web.Response:
        """Change one object; a fragment that is set to nothing goes."""
        found = self._object(request)
        kept = {name: found[name] for name in ("id", "owner")}
        found.update({**await read_json(request), **kept})
        for name in [name for name, value in found.items() if value is None]:
            del found[name]
        return answer("managedobject", self._show(request, found))

    async def delete(self, request: web.Request) -> web.Response:
        """Remove one object, and its external ids."""
        number = self._object(request)["id"]
        del self._state.objects[number]
        for key in [key for key, owner in self._state.identities.items() if owner == number]:
            del self._state.identities[key]
        return web.Response(status=204)

    def _shown_identity(self, request: web.Request, kind: str, external: str) -> dict[str, Any]:
        number = self._state.identities[(kind, external)]
        managed = {"id": number, "self": url_of(request, f"/inventory/managedObjects/{number}")}
        own = url_of(request, f"/identity/externalIds/{kind}/{external}")
        return {"externalId": external, "type": kind, "managedObject": managed, "self": own}

    async def name(self, request: web.Request) -> web.Response:
        """Give an object an external id; 409 if that is taken."""
        number = self._object(request)["id"]
        content = await read_json(request)
        kind, external = content.get("type"), content.get("externalId")
        if not (isinstance(kind, str) and kind and isinstance(external, str) and external):
            raise refusal(422, "identity/invalidData", 'expected "type" and "externalId"')
        if (kind, external) in self._state.identities:
            raise refusal(409, "identity/Duplicate", "ExternalId already exists")
        self._state.identities[(kind, external)] = number
        return answer("externalid", self._shown_identity(request, kind, external), 201)

    async def names(self, request: web.Request) -> web.Response:
        """The external ids of an object."""
        number = self._object(request)["id"]
        found = [
            self._shown_identity(request, *key) for key, owner in self._state.identities.items() if owner == number
        ]
        return page(request, "externalidcollection", "externalIds", found)

    def _identity(self, request: web.Request) -> tuple[str, str]:
        self._callers.anyone(request)
        key = request.match_info["type"], request.match_info["external"]
        if key not in self._state.identities:
            raise refusal(
                404, "identity/notFound", f"External id not found; external id = ID [type={key[0]}, value={key[1]}]"
            )
        return key

    async def find(self, request: web.Request) -> web.Response:
        """The object with this external id."""
        return answer("externalid", self._shown_identity(request, *self._identity(request)))

    async def forget(self, request: web.Request) -> web.Response:
        """Take an external id away."""
        del self._state.identities[self._identity(request)]
        return web.Response(status=204)
