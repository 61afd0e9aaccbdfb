# SPDX-License-Identifier: Apache-2.0
"""Split the text of ``tedge.toml`` into what stays and a file for each cloud profile, comments included.

No library keeps comments while it moves tables. ``tomllib`` says where a statement ends and which key it sets; the
caller compares the result with the values that it wants.
"""

import io
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import tomlkit

Keys = tuple[str, ...]
Place = Callable[[Keys], tuple[str, Keys]]
"""Return where a key goes: the name of a file ("" for the one that is split), and the key or table in it."""


@dataclass
class _File:
    """Lines above the first ``[table]``, and the others; the file that is split keeps its order, all in ``top``."""

    top: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the whole text of a new file."""
        parts = [each for each in ("".join(lines).strip("\r\n") for lines in (self.top, self.tables)) if each]
        end = "\r\n" if "\r\n" in "".join(parts) else "\n"
        return f"{end}{end}".join(parts) + end


def split(text: str, place: Place) -> dict[str, str]:
    """Return the text of each file; raises ValueError for a statement whose parts belong to several files."""
    files = {"": _File()}
    table: Keys = ()
    lines, above = files[""].top, ""
    for chunk in _chunks(text):
        statement = chunk.strip()
        if statement.startswith("#"):
            # A comment belongs to what follows it directly, otherwise to what it follows.
            above += chunk
            continue
        if not statement:
            lines.append(above + chunk)
        elif statement.startswith("["):
            opening, table, rest = _header(chunk)
            name, inner = place(table)
            file = files.setdefault(name, _File())
            lines = file.tables if name and inner else file.top
            lines.append(above + (_written(opening, inner, rest) if name else chunk))
        else:
            keys, rest = _parsed(chunk, "=", "= {}")
            name, inner = place((*table, *keys))
            if name and not inner:
                raise ValueError(f"{'.'.join((*table, *keys))} has values of several files")
            # Of the table, what the key repeats: one that goes to another file, or has a new name, needs all of it.
            owner, own = place(table) if table else ("", ())
            is_below = not name or (owner == name and own == inner[: len(own)])
            within = inner[len(own) :] if is_below else inner
            written = chunk if not name or within == keys else f"{_dotted(within)} {rest}"
            (lines if is_below else files.setdefault(name, _File()).top).append(above + written)
        above = ""
    lines.append(above)
    return {name: file.text() if name else "".join(file.top) for name, file in files.items()}


def _chunks(text: str) -> Iterator[str]:
    """Return each comment, blank line and statement; a value can go over several lines."""
    chunk = ""
    for line in io.StringIO(text, newline="\n"):
        chunk += line
        try:
            tomllib.loads(chunk)
        except tomllib.TOMLDecodeError:
            continue
        yield chunk if chunk.endswith("\n") else f"{chunk}\n"
        chunk = ""


def _header(chunk: str) -> tuple[str, Keys, str]:
    """Return the opening brackets, the table, and what follows the closing ones."""
    keys, rest = _parsed(chunk, "]", "]")
    return "[[" if chunk.lstrip().startswith("[[") else "[", keys, rest[1:]


def _written(opening: str, table: Keys, rest: str) -> str:
    """Return the header of a table in its file; the keys at the top of a file have none, but may have a comment."""
    closing = "]" * len(opening)
    return f"{opening}{_dotted(table)}{closing}{rest}" if table else rest.lstrip()


def _parsed(chunk: str, end: str, instead: str) -> tuple[Keys, str]:
    """Return the keys before the first ``end`` that is no part of a quoted key, and the text from there."""
    at = chunk.find(end)
    while at >= 0:
        try:
            return _keys(tomllib.loads(chunk[:at] + instead)), chunk[at:]
        except tomllib.TOMLDecodeError:
            at = chunk.find(end, at + 1)
    raise ValueError(f"no key in {chunk!r}")


def _keys(node: object) -> Keys:
    found: list[str] = []
    while node:
        if isinstance(node, list):
            node = node[0]
        elif isinstance(node, dict):
            key, node = next(iter(node.items()))
            found.append(key)
    return tuple(found)


def _dotted(keys: Keys) -> str:
    return tomlkit.key(keys).as_string()
