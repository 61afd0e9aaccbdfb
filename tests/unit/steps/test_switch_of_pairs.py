# SPDX-License-Identifier: Apache-2.0
"""The switch of a certificate together with its key, interrupted at any point."""

from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.disk import files
from tedge_cert.steps.switch import Switch
from unit.certificates import Made, make_for
from unit.killed import killed_after

OLD, NEW, OTHER = make_for(10), make_for(90), make_for(50)
NAMES = {OLD.pem: "old", NEW.pem: "new", OLD.key_pem: "old", NEW.key_pem: "new", OTHER.key_pem: "other"}
Names = tuple[str | None, ...]


@pytest.fixture
def switch(tmp_path: Path) -> Switch:
    """A certificate and a candidate, with a key each."""
    paths = [tmp_path / f"{each}{suffix}" for each in ("c.pem", "k.pem") for suffix in ("", ".new", ".previous")]
    made = Switch(*paths)
    put(made, ("old", "new", None, "old", "new", None))
    return made


def put(switch: Switch, names: Names) -> None:
    """Put certificate, candidate, previous, and their keys."""
    for number, (path, name) in enumerate(zip(paths_of(switch), names, strict=True)):
        path.unlink(missing_ok=True)
        if name is not None:
            made: Made = {"old": OLD, "new": NEW, "other": OTHER}[name]
            path.write_bytes(made.pem if number < 3 else made.key_pem)
            path.chmod(0o644 if number < 3 else 0o600)


def paths_of(switch: Switch) -> list[Path]:
    return [getattr(switch, each.name) for each in fields(switch)]


def state(switch: Switch) -> Names:
    """Whose certificate, candidate, previous, key, candidate key and previous key are there."""
    return tuple(NAMES[each.read_bytes()] if each.exists() else None for each in paths_of(switch))


def promote(switch: Switch) -> None:
    key = switch.candidate_key.read_bytes() if switch.candidate_key.exists() else None
    switch.promote(switch.prepare(NEW.pem, key), NEW.pem)


def leftovers(switch: Switch) -> list[str]:
    return [each.name for each in switch.certificate.parent.iterdir() if each.name.endswith(".tmp")]


def test_the_whole_way(switch: Switch, mocker: MockerFixture) -> None:
    renames = mocker.spy(Path, "rename")
    syncs = mocker.spy(files, "sync_directory")
    order = mocker.Mock()
    order.attach_mock(renames, "rename")
    order.attach_mock(syncs, "sync")
    promote(switch)
    assert state(switch) == ("new", None, "old", "new", None, "old")
    # Nothing, no sync either, lies between the two renames that others can see.
    targets = [call.args[-1].name if "rename" in call[0] else "sync" for call in order.mock_calls]
    assert targets[:7] == ["k.pem.previous", "sync", "c.pem.previous", "sync", "c.pem", "k.pem", "sync"]
    switch.confirm()
    assert (state(switch), leftovers(switch)) == (("new", None, None, "new", None, None), [])
    assert switch.key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("keep", "candidate"), [(None, None), (NEW.pem, "new")])
def test_the_way_back(switch: Switch, keep: bytes | None, candidate: str | None) -> None:
    promote(switch)
    assert switch.flaw_of_previous() is None
    switch.put_back(keep)
    assert state(switch) == ("old", candidate, None, "old", candidate, None)
    assert switch.flaw_of_previous() is not None


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o440])
def test_the_new_key_has_the_mode_of_the_old_one(switch: Switch, mode: int) -> None:
    switch.key.chmod(mode)
    promote(switch)
    assert {each.stat().st_mode & 0o777 for each in (switch.key, switch.previous_key)} == {mode}


def test_a_key_that_all_could_read_gets_no_such_successor(switch: Switch) -> None:
    switch.key.chmod(0o666)
    prepared = switch.prepare(NEW.pem, NEW.key_pem)
    assert {each.stat().st_mode & 0o007 for each in (prepared.copy_of_key, prepared.fresh_key) if each} == {0}


def test_a_candidate_key_put_there_meanwhile_is_not_ours(switch: Switch) -> None:
    prepared = switch.prepare(NEW.pem, NEW.key_pem)
    switch.candidate_key.write_bytes(OTHER.key_pem)
    switch.promote(prepared, NEW.pem)
    assert state(switch) == ("new", None, "old", "new", "other", "old")


HALVES = {
    # Certificate, candidate, previous, key, candidate key, previous key; what is left of it.
    "nothing happened": (("old", "new", None, "old", "new", None), ("old", "new", None, "old", "new", None)),
    "a copy of the key": (("old", "new", None, "old", "new", "old"), ("old", "new", None, "old", "new", None)),
    "a copy of the certificate": (("old", "new", "old", "old", "new", None), ("old", "new", None, "old", "new", None)),
    "copies of both": (("old", "new", "old", "old", "new", "old"), ("old", "new", None, "old", "new", None)),
    "the certificate only": (("new", "new", "old", "old", "new", "old"), ("new", None, "old", "new", None, "old")),
    "the key only": (("old", "new", "old", "new", "new", "old"), ("old", "new", None, "old", "new", None)),
    "both": (("new", "new", "old", "new", "new", "old"), ("new", None, "old", "new", None, "old")),
    "the candidate went": (("new", None, "old", "new", "new", "old"), ("new", None, "old", "new", None, "old")),
    "confirmed by half": (("new", None, "old", "new", None, None), ("new", None, "old", "new", None, None)),
    "back by half": (("new", None, "old", "old", None, None), ("new", None, "old", "old", None, None)),
    # The copy of the former key did not last, so the present one is kept.
    "back by half, kept": (("new", "new", "old", "old", "new", None), ("new", None, "old", "new", None, "old")),
    "the candidate key went": (("old", "new", "old", "new", None, "old"), ("old", "new", None, "old", "new", None)),
    "the key went": (("old", None, None, None, None, "old"), ("old", None, None, "old", None, None)),
    "a former key": (("new", None, None, "new", None, "old"), ("new", None, None, "new", None, None)),
    "a candidate key waits": (("old", None, None, "old", "new", None), ("old", None, None, "old", "new", None)),
    "no key fits": (("old", None, None, "other", "new", None), ("old", None, None, "other", "new", None)),
}


@pytest.mark.parametrize("name", HALVES)
def test_the_certificate_decides_which_key_it_gets(switch: Switch, name: str) -> None:
    found, left = HALVES[name]
    put(switch, found)
    switch.settle()
    assert (state(switch), leftovers(switch)) == (left, [])


def test_a_broken_certificate_moves_no_key(switch: Switch) -> None:
    put(switch, ("new", None, "old", "new", None, "old"))
    switch.certificate.write_bytes(b"garbage")
    before = [each.read_bytes() for each in paths_of(switch) if each.exists()]
    switch.settle()
    assert [each.read_bytes() for each in paths_of(switch) if each.exists()] == before
    assert switch.flaw_of_previous() is None


@pytest.mark.parametrize("name", ["candidate_key", "previous_key"])
def test_no_link_is_followed_to_a_key(switch: Switch, tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").write_bytes(NEW.key_pem)
    put(switch, ("new", None, "old", "old", None, None))
    path: Path = getattr(switch, name)
    path.symlink_to(tmp_path / "elsewhere")
    switch.settle()
    assert switch.key.read_bytes() == OLD.key_pem


def walk(switch: Switch) -> None:
    """Switch from beginning to end, as the steps do."""
    switch.settle()
    if not switch.is_unfinished:
        promote(switch)
    switch.confirm()


def go_back(switch: Switch) -> None:
    switch.put_back(NEW.pem)


@pytest.mark.parametrize("act", [walk, go_back])
@pytest.mark.parametrize("last", range(24))
def test_killed_at_any_instant(switch: Switch, mocker: MockerFixture, act: Any, last: int) -> None:
    """The next run finds a pair that was accepted, or makes one of what lies there."""
    if act is go_back:
        promote(switch)
    with killed_after(last, mocker):
        act(switch)
    files.remove_stale_temporaries(switch.certificate)
    files.remove_stale_temporaries(switch.key)
    found = state(switch)
    switch.settle()
    certificate, candidate, previous, key, candidate_key, _ = state(switch)
    if certificate != key:
        # The way back is half done; the rest of it is the only way on.
        assert (act, certificate, previous, key, switch.flaw_of_previous()) == (go_back, "new", "old", "old", None)
        switch.put_back()
    elif certificate == "old":
        assert (candidate, candidate_key) == ("new", "new"), found
    if act is walk:
        if state(switch) != ("new", None, None, "new", None, None):
            walk(switch)
        assert (state(switch), leftovers(switch)) == (("new", None, None, "new", None, None), [])


def test_every_state_of_a_disk_keeps_the_active_key(switch: Switch) -> None:
    """Whatever lies there, settling leaves the certificate with its key wherever that was somewhere."""
    for found in product(
        ("old", "new"), (None, "new"), (None, "old"), (None, "old", "new"), (None, "new"), (None, "old")
    ):
        put(switch, found)
        switch.settle()
        certificate, *_, key = state(switch)[:4]
        assert key == certificate or found[0] not in found[3:], found
