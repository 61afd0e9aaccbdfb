# SPDX-License-Identifier: Apache-2.0
"""What holds for every test, wherever it runs."""

import resource
from collections.abc import Iterator

import pytest


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
