# SPDX-License-Identifier: Apache-2.0
"""The executables are one page each, and every file names its licence."""

from unit.local_device import ROOT

SCRIPT_LINES = 40
SCRIPTS = sorted(each for each in (ROOT / "bin").iterdir() if each.is_file())
SOURCES = [*SCRIPTS, *(ROOT / "lib").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]


def test_a_script_parses_calls_and_returns() -> None:
    sizes = {each.name: len(each.read_text(encoding="utf-8").splitlines()) for each in SCRIPTS}
    assert len(sizes) >= 10
    assert {name: lines for name, lines in sizes.items() if lines > SCRIPT_LINES} == {}


def test_a_file_names_its_licence() -> None:
    heads = {each: each.read_text(encoding="utf-8").splitlines()[:2] for each in SOURCES}
    assert len(heads) >= 100
    assert [each for each, head in heads.items() if head and "# SPDX-License-Identifier: Apache-2.0" not in head] == []
