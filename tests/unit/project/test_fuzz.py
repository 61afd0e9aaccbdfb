# SPDX-License-Identifier: Apache-2.0
"""A short fuzzing campaign, and every input with which a campaign found a fault."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faults.fuzz.campaign import CORPUS, case, limited_memory, run
from faults.fuzz.spoiling import LIMIT, spoil
from faults.fuzz.targets import TARGETS, Target

FOUND = sorted(CORPUS.glob("*/*"))


@pytest.mark.parametrize("target", TARGETS)
def test_the_good_streams(target: str) -> None:
    assert [case(target, each) for each in TARGETS[target].seeds] == [""] * len(TARGETS[target].seeds)


@pytest.mark.parametrize("target", TARGETS)
def test_spoilt_streams(target: str) -> None:
    outcome = run(target, 40 * TARGETS[target].weight, seed=1)
    assert (outcome.cases, outcome.failures) == (40 * TARGETS[target].weight, [])


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=100)
@given(st.data())
def test_streams_that_hypothesis_finds(target: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(TARGETS[target].seeds))
    at = data.draw(st.integers(0, len(seed)))
    content = seed[:at] + data.draw(st.binary(max_size=8)) + seed[at + data.draw(st.integers(0, 8)) :]
    assert case(target, content) == ""


@pytest.mark.parametrize("found", FOUND, ids=[f"{each.parent.name}-{each.name}" for each in FOUND])
def test_what_was_found_once(found: str) -> None:
    path = CORPUS / found
    assert case(path.parent.name, path.read_bytes()) == ""


def test_a_campaign_sees_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that hangs, one that takes too much, one that raises: each is a failure with its input."""

    def read(content: bytes) -> None:
        if content.startswith(b"long"):
            while True:
                pass
        if content.startswith(b"much"):
            bytes(200 << 20)
        raise KeyError(content)

    monkeypatch.setitem(TARGETS, "wrong", Target((b"x",), read, 1))
    monkeypatch.setattr("faults.fuzz.campaign.CASE_S", 0.2)
    with limited_memory():
        found = [case("wrong", content) for content in (b"long", b"much", b"else")]
    assert [each.partition(":")[0] for each in found] == ["TimeoutError", "MemoryError", "KeyError"]
    assert run("wrong", 3, seed=1).failures[0][1].startswith("KeyError")


def test_the_same_seed_spoils_alike() -> None:
    seeds = TARGETS["est-body"].seeds
    one, other = ([spoil(seeds[0], seeds, random) for _ in range(50)] for random in (Random(7), Random(7)))  # noqa: S311
    assert one == other
    assert max(map(len, one)) <= LIMIT
    assert len(set(one)) > 40
