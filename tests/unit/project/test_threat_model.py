# SPDX-License-Identifier: Apache-2.0
"""Each test that the threat model names exists."""

import re

from unit.local_device import ROOT

TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    tests = "\n".join(each.read_text(encoding="utf-8") for each in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"^def (test_\w+)\(", tests, re.MULTILINE))
    assert named - there == set()
    assert len(named) > 20


def test_whom_it_is_about() -> None:
    assert re.findall(r"^## (.*)$", TEXT, re.MULTILINE) == [
        "A local user without privileges",
        "User tedge",
        "Maintainer scripts",
        "A local MQTT client",
        "An attacker on the network",
        "A hostile tenant",
        "A stolen disk image",
    ]
