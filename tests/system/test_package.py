# SPDX-License-Identifier: Apache-2.0
"""The packages themselves: every build has the same bytes, and lintian reports nothing."""

import os
import shutil
from pathlib import Path

from system import package as packages
from system.machine import command


def test_two_builds_are_the_same_bytes(package: Path, tmp_path: Path) -> None:
    """Build in another directory, time, zone, umask and language, from files with other times."""
    source = tmp_path / "a longer name" / "elsewhere"
    for name in packages.sources():
        copy = source / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(packages.CHECKOUT / name, copy, follow_symlinks=False)
        if not copy.is_symlink():
            os.utime(copy, (1_900_000_000, 1_900_000_000))
    environment = {"DEB_BUILD_OPTIONS": "nocheck", "TZ": "Asia/Tokyo", "LC_ALL": "C", "HOME": "/nonexistent"}
    build = ["sh", "-ec", "umask 077; exec dpkg-buildpackage --no-sign --build=binary"]
    command(build, cwd=source, env=environment, timeout_s=300)
    built = {each.name: each.read_bytes() for each in package.parent.glob("*.deb")}
    assert len(built) == 3
    assert {each.name: each.read_bytes() for each in source.parent.glob("*.deb")} == built


def test_lintian_has_no_word_on_it(package: Path) -> None:
    shown = ["--allow-root", "--display-info", "--fail-on=none"]
    assert command(["lintian", *shown, *map(str, package.parent.glob("*.deb"))], timeout_s=120) == ""


def test_the_manual_is_sound() -> None:
    pages = sorted(str(page) for page in (packages.CHECKOUT / "debian/man").iterdir())
    found = command(["mandoc", "-Tlint", "-Wwarning", *pages])
    assert found == ""
