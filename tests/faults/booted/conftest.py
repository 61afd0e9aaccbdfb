# SPDX-License-Identifier: Apache-2.0
"""Booted devices, as the system tests have them: where the unit, its confinement and systemd itself matter."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from system import conftest as system
from system.conftest import (
    _off,
    _tidy_machine,
    bare,
    connected,
    device,
    devices,
    package,
    release,
    stand,
    stands,
    tenant,
)

__all__ = [
    "_off",
    "_tidy_machine",
    "bare",
    "connected",
    "device",
    "devices",
    "package",
    "release",
    "stand",
    "stands",
    "tenant",
]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip where nothing can be booted; CI must be able to."""
    if item.path.is_relative_to(Path(__file__).parent):
        system.need_machine()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show what the devices of a failed test say of themselves."""
    yield from system.pytest_runtest_makereport(item)
