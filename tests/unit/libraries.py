# SPDX-License-Identifier: Apache-2.0
"""Find the test modules that touch a library which differs between the Debians, from what the files import."""

import ast
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ROOT / "lib" / "tedge_cert"
_READERS = "faults.fuzz.targets"
"""What is spoilt there is read by a library in the end."""
_STEPS = 1
"""Imports on the way from a test to a library: what it tests has it. `make test-faults` tries the rest."""


@cache
def _imported(file: Path) -> frozenset[str]:
    """Return the modules that a file imports anywhere; what it takes from a package may be a module as well."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return frozenset(names)


def _roots(file: Path) -> set[str]:
    return {name.partition(".")[0] for name in _imported(file)}


def pins(release: int) -> dict[str, str]:
    """Return the versions of a Debian's libraries, by the packages that a program imports."""
    lines = (ROOT / f"tests/requirements-debian{release}.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    return {name.removesuffix("-mqtt"): version for name, version in pins.items()}


@cache
def used() -> frozenset[str]:
    """Return the packages outside of Python itself that the product imports."""
    found = {root for file in PRODUCT.rglob("*.py") for root in _roots(file)}
    return frozenset(found - {"tedge_cert"} - sys.stdlib_module_names)


@cache
def libraries() -> frozenset[str]:
    """Return those of them that have another version on Debian 12.

    The others are the same files in both environments, so a second run would only repeat itself.
    """
    before, now = pins(12), pins(13)
    return frozenset(name for name in used() & before.keys() if before[name] != now.get(name))


def _file(module: str) -> Path | None:
    place = ROOT.joinpath("lib", *module.split("."))
    return next((each for each in (place.with_suffix(".py"), place / "__init__.py") if each.exists()), None)


@cache
def touches(test: Path) -> bool:
    """Whether a test module, or what it tests, imports a library."""
    if _READERS in _imported(test):
        return True
    seen, files = {test}, {test}
    for _ in range(_STEPS + 1):
        if any(_roots(file) & libraries() for file in files):
            return True
        following = {_file(name) for file in files for name in _imported(file) if name.startswith("tedge_cert.")}
        files = {file for file in following if file is not None} - seen
        seen |= files
    return False
