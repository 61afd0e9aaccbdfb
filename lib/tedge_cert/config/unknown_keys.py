# SPDX-License-Identifier: Apache-2.0
"""Find settings that nothing knows, in the files and in the environment: mostly typing mistakes."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from tedge_cert.config.keys import CLOUDS, flat
from tedge_cert.config.keys.table import KEYS, present_name
from tedge_cert.config.settings import Config, leaves

# How alike an unknown key and a known one are: to be worth a question, and if a person meant the known one for sure.
_LIKELY, _ALIKE = 0.6, 0.8
_VARIABLE = "TEDGE_"
# Variables that are no settings: two choose the settings, the others tell a hook which device it is for.
_OURS = frozenset(f"{_VARIABLE}{each}" for each in ("CONFIG_DIR", "CLOUD_PROFILE", "CLOUD", "PROFILE", "INSTANCE"))
_VERSION, _TYPE = "config.version", "cloud_type"


@dataclass(frozen=True)
class Unknown:
    """A setting that nothing knows: its name, the known one that is like it, and its file; the environment has none."""

    name: str
    near: str
    file: str = ""

    @property
    def what(self) -> str:
        """What it is, and where."""
        hint = f"did you mean {self.near}?" if self.near else "`tedge config list --all` shows all keys"
        return f"{self.name} in {self.file or 'the environment'} has no effect, as there is no such key; {hint}"

    @property
    def cure(self) -> str:
        """The command that opens the file there."""
        from tedge_cert.config import toml_errors

        return toml_errors.editor_at(self.file, self.name)


def misspelt(config: Config) -> tuple[Unknown, ...]:
    """Return the keys in the files that nothing knows and that are so like a known one that it was meant."""
    return tuple(each for each in _in_files(config, _ALIKE) if each.near)


def unknown(config: Config) -> list[Unknown]:
    """Return all settings that nothing knows, also those of other programs."""
    return [*_in_files(config, _LIKELY), *_in_environment(config)]


def _in_files(config: Config, alike: float) -> list[Unknown]:
    found = []
    for path, tree in config.trees.items():
        above = config.above(path)
        for parts in leaves(tree or {}):
            name = written = ".".join((*above, *parts))
            if name == _VERSION or (above and parts == (_TYPE,)):
                continue
            names = written.split(".")
            if names[0] in CLOUDS and names[1:2] == ["profiles"] and len(names) > 3:
                name = ".".join((names[0], *names[3:]))
            if not present_name(name):
                found.append(Unknown(written, _nearest(name, KEYS, alike), path))
    return found


def _in_environment(config: Config) -> list[Unknown]:
    found = []
    for variable in sorted(os.environ):
        if not variable.startswith(_VARIABLE) or variable in _OURS:
            continue
        name, profile = flat(variable.removeprefix(_VARIABLE).lower()), ""
        cloud, of_profile, rest = name.partition("_profiles_")
        if of_profile and cloud in CLOUDS:
            profile, key = _split(config, cloud, rest)
            name = f"{cloud}_{key}"
        if not present_name(name):
            near = _nearest(name, map(flat, KEYS), _LIKELY).upper()
            first, _, last = near.partition("_")
            between = f"PROFILES_{profile.upper()}_" if profile else ""
            found.append(Unknown(variable, near and f"{_VARIABLE}{first}_{between}{last}"))
    return found


def _split(config: Config, cloud: str, rest: str) -> tuple[str, str]:
    """Return profile and key of a variable; both can have the sign that stands between them."""
    splits = [(rest[:at], rest[at + 1 :]) for at, sign in enumerate(rest) if sign == "_"]
    profiles = [each.replace("-", "_") for each in config.profiles_of_files(cloud)]
    known = (each for each in splits if present_name(f"{cloud}_{each[1]}"))
    of_files = (each for each in splits if each[0] in profiles)
    return next(known, None) or next(of_files, None) or next(iter(splits), (rest, ""))


def _nearest(name: str, known: Iterable[str], alike: float) -> str:
    # Nearly always every key is known.
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(known), 1, alike)), "")
