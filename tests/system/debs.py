# SPDX-License-Identifier: Apache-2.0
"""The names of our packages, and which of them are installed together."""

from pathlib import Path

PACKAGE, COMMON, BESIDE = (f"tedge-cert-renewer{each}" for each in ("", "-common", "-beside"))


def sibling(package: Path, name: str) -> Path:
    """Return another package of the same build."""
    return package.with_name(f"{name}_{package.name.partition('_')[2]}")


def with_common(package: Path) -> tuple[Path, ...]:
    """Return the packages that are installed together for this one: it, and that of its library if it is ours."""
    common = sibling(package, COMMON)
    return (common, package) if package.name.startswith(PACKAGE) and common.exists() else (package,)
