# SPDX-License-Identifier: Apache-2.0
"""Draw docs/rooms.svg: the rooms of the library, and which of them each step of a renewal enters.

The rooms come from the layers in pyproject.toml, their line from the docstring of each room, the dots from the import
statements of the executables and the library. `make picture` writes the file; a test compares it.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "lib/tedge_cert"
PICTURE = ROOT / "docs/rooms.svg"
PACKAGE = "tedge_cert."
TOP_LEVEL = "top level"

# Measures in pixels.
LEFT, TOP, ROW, BOX, COLUMN = 20, 150, 42, 690, 106
ROOM, BORDER, ALWAYS, TEXT, FAINT = "#eef3f9", "#9db4cf", "#2b6cb0", "#222222", "#555555"


@dataclass(frozen=True)
class Station:
    """One stop on the way of a renewal: what it is called, when it runs, and the modules it begins with."""

    name: str
    when: str
    entry: frozenset[str]


@dataclass(frozen=True)
class Imports:
    """The modules of the library that a module imports, as it is loaded and in its functions."""

    loading: frozenset[str]
    running: frozenset[str]


def rooms() -> list[str]:
    """List the rooms from the top down, as pyproject.toml has them; the files of the top level are one of them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    return [each for each in layers if ":" not in each] + [TOP_LEVEL]


def line_of(room: str) -> str:
    """Return what a room knows, in its own words."""
    if room == TOP_LEVEL:
        files = sorted(each.stem for each in LIBRARY.glob("*.py") if each.stem != "__init__")
        return f"All rooms use it: {', '.join(files)}."
    text = ast.get_docstring(ast.parse((LIBRARY / room / "__init__.py").read_text(encoding="utf-8")))
    return (text or "").replace("`", "")


def room_of(module: str) -> str:
    """Return the room of a module, by its name."""
    first = module.removeprefix(PACKAGE).partition(".")[0]
    return first if (LIBRARY / first).is_dir() else TOP_LEVEL


def _file_of(module: str) -> Path | None:
    path = ROOT / "lib" / module.replace(".", "/")
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)


def _named(node: ast.AST) -> Iterator[str]:
    """Yield the modules of the library that an import statement names."""
    if isinstance(node, ast.Import):
        yield from (each.name for each in node.names if each.name.startswith(PACKAGE))
    elif isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(PACKAGE):
        for each in node.names:
            module = f"{node.module}.{each.name}"
            yield module if _file_of(module) else str(node.module)


def _walk(nodes: list[ast.stmt], *, leave_out: str = "") -> Iterator[tuple[str, bool]]:
    """Yield each import below the nodes, and whether it stands in a function; those for type checkers are left out."""
    for node in nodes:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.FunctionDef) and node.name == leave_out:
            continue
        inside = isinstance(node, ast.FunctionDef | ast.ClassDef)
        for each in ast.walk(node):
            for module in _named(each):
                yield module, inside


def imports_of(module: str) -> Imports:
    """Read the import statements of a module."""
    path = _file_of(module)
    found = list(_walk(ast.parse(path.read_text(encoding="utf-8")).body)) if path else []
    return Imports(
        frozenset(name for name, inside in found if not inside), frozenset(name for name, inside in found if inside)
    )


def _reached(entry: frozenset[str], *, running: bool) -> set[str]:
    """Return the rooms that are entered from these modules, by what is loaded or also by what may be."""
    seen: set[str] = set()
    waiting = set(entry)
    while waiting:
        module = waiting.pop()
        seen.add(module)
        found = imports_of(module)
        waiting |= (found.loading | (found.running if running else frozenset())) - seen
    return {room_of(each) for each in seen}


def _executable(name: str) -> frozenset[str]:
    """Return the modules that an executable imports; its parser is left out, which a unit's command line avoids."""
    nodes = ast.parse((ROOT / "bin" / name).read_text(encoding="utf-8")).body
    return frozenset(module for module, _ in _walk(nodes, leave_out="parser"))


def stations() -> list[Station]:
    """Return the stops of a renewal in their order."""
    steps = [
        ("needs-renewal", "memo is stale"),
        ("renew", "certificate is due"),
        ("verify", "candidate exists"),
        ("cleanup", "a step failed"),
    ]
    memo = Station("needs-renewal", "memo holds", frozenset({"tedge_cert.hourly.memo"}))
    return [memo, *(Station(name, when, _executable(f"tedge-cert-{name}")) for name, when in steps)]


def draw() -> str:
    """Return the picture as SVG."""
    levels, ways = rooms(), stations()
    width, height = LEFT + BOX + len(ways) * COLUMN + 30, TOP + len(levels) * ROW + 62
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="DejaVu Sans, Verdana, sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(LEFT, 30, "The rooms of lib/tedge_cert, and the way of a renewal through them", 16, weight="bold"),
        _text(LEFT, 54, "A room uses only rooms below it.", colour=FAINT),
        *_clock(len(ways)),
    ]
    for number, room in enumerate(levels):
        lines += _room(room, TOP + number * ROW)
    for number, way in enumerate(ways):
        lines += _way(way, LEFT + BOX + number * COLUMN + COLUMN / 2 + 10, levels)
    lines += _legend(TOP + len(levels) * ROW + 30)
    return "\n".join([*lines, "</svg>", ""])


def _clock(columns: int) -> Iterator[str]:
    """What starts the way: an arrow from the timer through all stations."""
    left = LEFT + BOX + 10
    right = left + columns * COLUMN
    yield _text(left, 74, "every hour: tedge-cert-renewer@.timer starts tedge-cert-renewer@.service", colour=FAINT)
    yield f'<path d="M{left} 86H{right - 6}" stroke="{FAINT}" fill="none"/>'
    yield f'<path d="M{right} 86l-8 -4v8z" fill="{FAINT}"/>'


def _room(room: str, top: float) -> Iterator[str]:
    yield (f'<rect x="{LEFT}" y="{top}" width="{BOX}" height="{ROW - 6}" rx="4" fill="{ROOM}" stroke="{BORDER}"/>')
    yield _text(LEFT + 10, top + 22, room, 13, weight="bold")
    yield _text(LEFT + 104, top + 22, line_of(room), 11)


def _way(way: Station, x: float, levels: list[str]) -> Iterator[str]:
    yield _text(x, 108, way.name, 12, anchor="middle", weight="bold")
    yield _text(x, 124, way.when, 10, FAINT, anchor="middle")
    loaded, possible = _reached(way.entry, running=False), _reached(way.entry, running=True)
    entered = [number for number, room in enumerate(levels) if room in possible]
    first, last = (TOP + number * ROW + (ROW - 6) / 2 for number in (entered[0], entered[-1]))
    yield f'<path d="M{x} 132V{last}" stroke="{BORDER}" stroke-dasharray="3 3"/>'
    yield f'<path d="M{x} {first}V{last}" stroke="{ALWAYS}"/>'
    for number in entered:
        fill = ALWAYS if levels[number] in loaded else "white"
        at = TOP + number * ROW + (ROW - 6) / 2
        yield f'<circle cx="{x}" cy="{at}" r="6" fill="{fill}" stroke="{ALWAYS}" stroke-width="1.5"/>'


def _legend(y: float) -> Iterator[str]:
    x = LEFT + 6
    for fill, words in ((ALWAYS, "the step always loads this room"), ("white", "only when it needs it")):
        yield f'<circle cx="{x}" cy="{y}" r="6" fill="{fill}" stroke="{ALWAYS}" stroke-width="1.5"/>'
        yield _text(x + 14, y + 4, words)
        x += 40 + 7 * len(words)
    yield _text(x, y + 4, "made from pyproject.toml and the import statements by `make picture`", colour=FAINT)


def _text(
    x: float, y: float, words: str, size: int = 12, colour: str = TEXT, *, anchor: str = "start", weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(words)}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
    sys.stdout.write(f"written: {PICTURE.relative_to(ROOT)}\n")
