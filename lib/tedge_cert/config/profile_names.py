# SPDX-License-Identifier: Apache-2.0
"""List the profiles of a cloud: tables of ``tedge.toml``, files of thin-edge 2.x, ``TEDGE_*`` variables.

The hourly check of a profile checks that its profile exists, so nothing slow is imported at the top.
"""

import os

from tedge_cert.errors import ConfigurationError


def check(tree: dict[str, object], directory: str, cloud: str, profile: str) -> None:
    """Raise ConfigurationError unless the profile exists; ``tree`` is the content of ``tedge.toml``."""
    start = _variables(cloud) + profile.upper().replace("-", "_") + "_"
    if (
        profile in _of_tree(tree, cloud)
        or profile in _of_mappers(directory, cloud)
        or any(variable.startswith(start) for variable in os.environ)
    ):
        return
    known = ", ".join(names(tree, directory, cloud)) or "none"
    raise ConfigurationError(
        f"no profile '{profile}' of {cloud} in {directory}/tedge.toml (known: {known}); "
        f"set one up with `tedge config set {cloud}.url <host> --profile {profile}`"
    )


def names(tree: dict[str, object], directory: str, cloud: str) -> list[str]:
    """Return the names of all profiles, sorted."""
    found = {*_of_tree(tree, cloud), *_of_mappers(directory, cloud)}
    # A variable cannot contain "-", so one with "_" means the existing profile with "-".
    written = {name.replace("-", "_") for name in found}
    return sorted(found | (set(_of_environment(cloud)) - written))


def _of_tree(tree: dict[str, object], cloud: str) -> list[str]:
    node: object = tree
    for part in (cloud, "profiles"):
        node = node.get(part) if isinstance(node, dict) else None
    return list(node) if isinstance(node, dict) else []


def _of_mappers(directory: str, cloud: str) -> list[str]:
    try:
        folders = os.listdir(f"{directory}/mappers")  # noqa: PTH208 (pathlib is not imported in the hourly path)
    except OSError:
        return []
    start = f"{cloud}."
    return [
        each.removeprefix(start)
        for each in folders
        if each.startswith(start) and os.path.exists(f"{directory}/mappers/{each}/mapper.toml")  # noqa: PTH110
    ]


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
