# SPDX-License-Identifier: Apache-2.0
"""List the profiles of a cloud: tables of ``tedge.toml``, files of thin-edge 2.x, ``TEDGE_*`` variables.

The hourly check of a profile checks that its profile exists, so nothing slow is imported at the top.
"""

import os


def names(found: list[str], cloud: str) -> list[str]:
    """Return the names of all profiles, sorted: those ``found`` in files, and those of the environment."""
    # A variable cannot contain "-", so one with "_" means the existing profile with "-".
    written = {name.replace("-", "_") for name in found}
    return sorted({*found} | (set(_of_environment(cloud)) - written))


def is_in_environment(cloud: str, profile: str) -> bool:
    """Return whether a variable sets a key of the profile."""
    start = _variables(cloud) + profile.upper().replace("-", "_") + "_"
    return any(variable.startswith(start) for variable in os.environ)


def of_tree(tree: dict[str, object] | None, cloud: str) -> list[str]:
    """List the profiles that the content of ``tedge.toml`` has."""
    node: object = tree
    for part in (cloud, "profiles"):
        node = node.get(part) if isinstance(node, dict) else None
    return list(node) if isinstance(node, dict) else []


def _of_environment(cloud: str) -> list[str]:
    from tedge_cert.config.keys.table import KEYS

    start = _variables(cloud)
    ends = ["_" + name.partition(".")[2].upper().replace(".", "_") for name in KEYS if name.startswith(f"{cloud}.")]
    # A variable can end in several keys; the longest is meant: X_ROOT_CERT_PATH is not of a profile X_ROOT.
    ends.sort(key=len, reverse=True)
    rests = [variable.removeprefix(start) for variable in os.environ if variable.startswith(start)]
    found = [next((rest[: -len(end)] for end in ends if rest.endswith(end)), "") for rest in rests]
    return [name.lower() for name in found if name.strip("_-")]


def _variables(cloud: str) -> str:
    return f"TEDGE_{cloud.upper()}_PROFILES_"
