# SPDX-License-Identifier: Apache-2.0
"""The inventory's query language, as far as a command line asks for devices in it.

`$filter=` with `has(FRAGMENT)` and `NAME eq 'VALUE'`, where `*` stands for anything, joined by `and`.
"""

import re
from fnmatch import fnmatchcase
from typing import Any

from tenant.web import refusal

_HAS = re.compile(r"has\(([\w.]+)\)")
_IS = re.compile(r"([\w.]+)\s+eq\s+'([^']*)'")


def matches(text: str, found: dict[str, Any]) -> bool:
    """Whether an object is what the query asks for; raises 422 for a query that is not understood here."""
    asked = text.removeprefix("$filter=").partition("$orderby")[0].strip()
    return all(_holds(each.strip(), found) for each in re.split(r"\s+and\s+", asked)) if asked else True


def _holds(term: str, found: dict[str, Any]) -> bool:
    bare = term[1:-1] if term.startswith("(") and term.endswith(")") else term
    if has := _HAS.fullmatch(bare):
        return has[1] in found
    if equal := _IS.fullmatch(bare):
        return fnmatchcase(str(found.get(equal[1], "")), equal[2])
    raise refusal(422, "inventory/invalidQuery", f"the query is not understood at {term!r}")
