# SPDX-License-Identifier: Apache-2.0
"""docs/architecture.md and its picture agree with the library as it is."""

import re
import runpy
from typing import Any

import pytest

from unit.local_device import ROOT

ROOMS: dict[str, Any] = runpy.run_path(str(ROOT / "docs/rooms.py"))
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
_PATH = re.compile(r"`((?:lib|bin|units|tests|debian|docs|share)/[^`\s*]*)`")


def test_the_picture_is_drawn_from_the_library_as_it_is() -> None:
    assert ROOMS["PICTURE"].read_text(encoding="utf-8") == ROOMS["draw"](), "`make picture` draws it again"


def test_the_page_has_a_line_for_each_room_in_their_order() -> None:
    rows = re.findall(r"^\| `(\w+)/` \| (.*?) \|$", PAGE, re.MULTILINE)
    rooms = ROOMS["rooms"]()[:-1]
    assert [name for name, _ in rows] == rooms
    assert {name: text.replace("`", "") for name, text in rows} == {each: ROOMS["line_of"](each) for each in rooms}


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    # A word in capitals stands for a name that the reader chooses.
    found = _PATH.findall((ROOT / page).read_text(encoding="utf-8"))
    named = [each for each in found if not re.search(r"[A-Z]{4}", each)]
    assert len(named) >= 2
    assert [each for each in named if not (ROOT / each).exists()] == []


def test_every_answer_names_a_file_of_the_library() -> None:
    _, answers = PAGE.split("## Where do I find", 1)
    named = [
        each for line in answers.splitlines() if line.startswith("| ") for each in re.findall(r"`([\w/]+\.py)`", line)
    ]
    assert len(named) >= 10
    assert [each for each in named if not (ROOT / "lib/tedge_cert" / each).is_file()] == []


def test_an_import_in_a_function_counts_only_when_it_is_needed() -> None:
    found = ROOMS["imports_of"]("tedge_cert.steps.needs_renewal")
    assert "tedge_cert.hourly.schedule" in found.loading | found.running
    loaded = ROOMS["_reached"](frozenset({"tedge_cert.steps.needs_renewal"}), running=False)
    possible = ROOMS["_reached"](frozenset({"tedge_cert.steps.needs_renewal"}), running=True)
    assert "tenant" in possible - loaded
