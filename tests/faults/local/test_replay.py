# SPDX-License-Identifier: Apache-2.0
"""The model of the disk forgets what was not synced; otherwise the tests that rest on it would find nothing."""

import os
from collections.abc import Callable

import pytest

from faults.replay import State, states
from faults.syscalls import Call

CREATE = os.O_WRONLY | os.O_CREAT


def call(name: str, path: str, target: str = "", data: bytes = b"") -> Call:
    return Call(0, name, f"/d/{path}".rstrip("/"), f"/d/{target}" if target else "", CREATE, data=data.hex())


MAKE = [call("openat", "tmp"), call("write", "tmp", data=b"new!")]
SYNC, RENAME, SYNC_DIRECTORY = call("fsync", "tmp"), call("rename", "tmp", "cert"), call("fsync", "")


def seen(calls: list[Call]) -> set[State]:
    return set(states("/d", {"cert": b"old"}, calls))


def certificates(calls: list[Call]) -> set[bytes]:
    return {content for state in seen(calls) for name, content in state if name == "cert"}


@pytest.mark.parametrize(
    ("calls", "found"),
    [
        ([*MAKE, SYNC, RENAME, SYNC_DIRECTORY], {b"old", b"new!"}),
        ([*MAKE, RENAME, SYNC_DIRECTORY], {b"old", b"", b"ne", b"new!"}),
        ([*MAKE, SYNC], {b"old"}),
    ],
)
def test_content_lasts_when_synced(calls: list[Call], found: set[bytes]) -> None:
    assert certificates(calls) == found


def after(calls: list[Call]) -> set[State]:
    """What may be there after all the calls, and not already after fewer."""
    return seen(calls) - seen(calls[:-1])


def test_names_last_when_their_directory_is_synced() -> None:
    removed = call("unlink", "cert")
    assert frozenset() in seen([removed])
    assert frozenset({("cert", b"old")}) in seen([removed])
    both = [*MAKE, SYNC, RENAME, removed]
    # Later without earlier: the removal alone.
    assert frozenset() in after(both) or frozenset() in seen(both)
    synced = [*MAKE, SYNC, RENAME, SYNC_DIRECTORY, removed]
    assert frozenset({("tmp", b"new!")}) not in after(synced)


@pytest.mark.parametrize("make", [lambda: call("truncate", "cert"), lambda: call("symlink", "cert")])
def test_what_the_model_does_not_know_is_an_error(make: Callable[[], Call]) -> None:
    with pytest.raises(NotImplementedError):
        seen([make()])


def test_other_directories_do_not_count() -> None:
    elsewhere = Call(0, "rename", "/e/a", "/e/b")
    assert seen([elsewhere]) == {frozenset({("cert", b"old")})}
