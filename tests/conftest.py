# SPDX-License-Identifier: Apache-2.0
"""What holds for every test, wherever it runs."""

import os
import resource
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

_FAULTS = Path(__file__).parent / "faults"


@pytest.fixture(scope="session", autouse=True)
def _cores() -> Iterator[None]:
    """Keep this process able to dump a core, and so each device that it boots after a test that loads a private key.

    A process that loads one gives that right up for good, and in a container not even root can take it back.
    """

    def set_limit(kind: int, limits: tuple[int, int]) -> None:
        if kind != resource.RLIMIT_CORE:
            original(kind, limits)

    original = resource.setrlimit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resource, "setrlimit", set_limit)
        yield


def _release_of(item: pytest.Item) -> str:
    where = getattr(item, "callspec", None)
    return "" if where is None else str(where.params.get("release", ""))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with tests that wait: for boots, then for the pauses of the product.

    xdist gives each worker an equal part of the list (`--dist worksteal`). In the order of the files, the first worker
    would get all booted tests. Other workers would take some of them over late, and the last ones would run alone.
    """
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if count == 1:
        return
    booted = [item for item in items if _release_of(item)]
    booted.sort(key=_release_of)  # neighbours share a device
    faults = [item for item in items if item.path.is_relative_to(_FAULTS) and item not in booted]
    first = {*booted, *faults}
    others = iter([item for item in items if item not in first])
    left = len(items)
    ordered: list[pytest.Item] = []
    for number in range(count):
        size = left // (count - number)
        left -= size
        part = [*booted[len(booted) * number // count : len(booted) * (number + 1) // count], *faults[number::count]]
        ordered += [*part, *islice(others, max(0, size - len(part)))]
    items[:] = [*ordered, *others]
