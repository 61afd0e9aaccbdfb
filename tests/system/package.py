# SPDX-License-Identifier: Apache-2.0
"""The Debian packages, built from a copy of the checkout and kept by the content they were built from."""

import hashlib
import shutil
from pathlib import Path

from system.debs import BESIDE, COMMON, PACKAGE
from system.machine import cache_directory, command
from system.trees import built_once

CHECKOUT = Path(__file__).resolve().parents[2]
# Files that cannot change the package must not cause another build.
_NOT_PACKAGED = ("tests/", ".ci/")


class NoPackageError(Exception):
    """The checkout does not build its three packages."""


def sources() -> list[str]:
    """Return the paths in the checkout that the package is built from: tracked or not, not ignored."""
    listed = command(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=CHECKOUT)
    names = sorted({name for name in listed.split("\0") if name and not name.startswith(_NOT_PACKAGED)})
    return [name for name in names if (CHECKOUT / name).is_symlink() or (CHECKOUT / name).exists()]


def _key(names: list[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        path = CHECKOUT / name
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        mode = path.lstat().st_mode & 0o170111  # its kind and whether it is executable
        digest.update(f"{name}\0{mode:o}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def build() -> Path:
    """Return the package tedge-cert-renewer of the checkout as it is now; the others lie beside it."""
    if not (CHECKOUT / "debian/control").exists():
        raise NoPackageError(f"{CHECKOUT} has no debian/control")
    names = sources()
    final = cache_directory() / "packages" / _key(names)
    with built_once(final, "build the Debian package") as building:
        if building is not None:
            for name in names:
                copy = building / "source" / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, copy, follow_symlinks=False)
            environment = {"DEB_BUILD_OPTIONS": "nocheck", "LC_ALL": "C.UTF-8"}
            argv = ["dpkg-buildpackage", "--no-sign", "--build=binary"]
            command(argv, cwd=building / "source", env=environment, timeout_s=300)
            shutil.rmtree(building / "source")
    found = {path.name.partition("_")[0]: path for path in final.glob("*.deb")}
    if set(found) != {PACKAGE, COMMON, BESIDE}:
        raise NoPackageError(f"three packages expected: {sorted(found)}")
    return found[PACKAGE]
