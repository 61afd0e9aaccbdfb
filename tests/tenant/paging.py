# SPDX-License-Identifier: Apache-2.0
"""Answers in Cumulocity's media types, and collections a page at a time."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tenant.web import refusal

_LARGEST = 2000
_DEFAULT = 5


def answer(kind: str, body: Any, status: int = 200) -> web.Response:
    """A representation of this kind; without one, plain JSON."""
    media = f"application/vnd.com.nsn.cumulocity.{kind}+json" if kind else "application/json"
    return web.json_response(body, status=status, content_type=media)


def url_of(request: web.Request, path: str = "") -> str:
    """The address of a resource as the caller can use it."""
    return str(request.url.with_path(path or request.path))


def page(request: web.Request, kind: str, name: str, items: Sequence[dict[str, Any]]) -> web.Response:
    """One page of a collection, with what Cumulocity says of the others."""
    size, current = number(request, "pageSize", _DEFAULT), number(request, "currentPage", 1)
    begin = (current - 1) * size
    statistics = {"currentPage": current, "pageSize": size}
    total_pages = -(-len(items) // size)
    if flag(request, "withTotalPages"):
        statistics["totalPages"] = total_pages
    if flag(request, "withTotalElements"):
        statistics["totalElements"] = len(items)
    body = {name: list(items[begin : begin + size]), "statistics": statistics, "self": url_of(request)}
    if current < total_pages:
        body["next"] = str(request.url.update_query(pageSize=size, currentPage=current + 1))
    return answer(kind, body)


def number(request: web.Request, name: str, default: int) -> int:
    """A number of the query, from 1 to the largest size of a page; raises 422."""
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= _LARGEST):
        raise refusal(422, "general/invalidData", f"{name}: expected a number from 1 to {_LARGEST}")
    return int(text[:9])


def flag(request: web.Request, name: str) -> bool:
    """Whether the query says yes to something."""
    return request.query.get(name, "false").lower() == "true"
