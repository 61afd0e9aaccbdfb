# SPDX-License-Identifier: Apache-2.0
"""What grows is split: budgets for executables, modules and functions."""

import ast
from pathlib import Path

import pytest

from unit.local_device import ROOT

SCRIPT_LINES, MODULE_LINES, FUNCTION_LINES = 40, 200, 40

SCRIPTS = sorted(each for each in (ROOT / "bin").iterdir() if each.is_file())
LIBRARY = sorted((ROOT / "lib").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def named(paths: list[Path]) -> list[str]:
    return [str(each.relative_to(ROOT)) for each in paths]


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", SCRIPTS, ids=named(SCRIPTS))
def test_a_script_parses_calls_and_returns(path: Path) -> None:
    assert lines(path) <= SCRIPT_LINES


@pytest.mark.parametrize("path", LIBRARY + TESTS, ids=named(LIBRARY + TESTS))
def test_a_module_has_one_subject(path: Path) -> None:
    assert lines(path) <= MODULE_LINES


@pytest.mark.parametrize("path", LIBRARY, ids=named(LIBRARY))
def test_a_function_does_one_thing(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    sizes = {each.name: (each.end_lineno or each.lineno) - each.lineno + 1 for each in functions}
    assert {name: size for name, size in sizes.items() if size > FUNCTION_LINES} == {}


@pytest.mark.parametrize("path", SCRIPTS + LIBRARY + TESTS, ids=named(SCRIPTS + LIBRARY + TESTS))
def test_a_file_names_its_licence(path: Path) -> None:
    head = path.read_text(encoding="utf-8").splitlines()[:2]
    assert not head or "# SPDX-License-Identifier: Apache-2.0" in head


def test_there_is_something_to_measure() -> None:
    assert min(len(SCRIPTS), len(LIBRARY), len(TESTS)) >= 10
