# SPDX-License-Identifier: Apache-2.0
"""Changing ``tedge.toml``: comments, order and keys that are not ours stay as they are."""

from pathlib import Path
from typing import Any

import tomlkit

from tedge_cert import files
from tedge_cert.config import Config, unknown_key
from tedge_cert.config_keys import KEYS
from tedge_cert.errors import ConfigurationError, UnknownKeyError


def set_value(config: Config, name: str, text: str) -> None:
    """Store ``text`` as the value of ``name``; raises ConfigurationError, with nothing written, if it is unfit."""
    key = KEYS.get(name)
    if key is None:
        raise UnknownKeyError(unknown_key(name))
    try:
        value = key.parse(text)
    except ValueError as error:
        raise ConfigurationError(f"cannot set {config.full_name(name)} to '{text}': {error}") from error
    path, parts = config.place(name)
    document = _load(Path(path))
    node: Any = document
    for part in parts[:-1]:
        if part not in node:
            # A super table has no header of its own, so that [c8y.profiles.p] does not write three.
            node[part] = tomlkit.table(is_super_table=part in ("profiles",))
        node = node[part]
        if not isinstance(node, dict):
            raise ConfigurationError(f"{path}: expected a table above {config.full_name(name)}; mend the file by hand")
    node[parts[-1]] = value
    _store(Path(path), document)


def unset_value(config: Config, name: str) -> None:
    """Remove ``name``; nothing happens if it is not set."""
    if name not in KEYS:
        raise UnknownKeyError(unknown_key(name))
    path, parts = config.place(name)
    document = _load(Path(path))
    node: Any = document
    for part in parts[:-1]:
        node = node.get(part)
        if not isinstance(node, dict):
            return
    if node.pop(parts[-1], None) is not None:
        _store(Path(path), document)


def _load(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tomlkit.document()


def _store(path: Path, document: tomlkit.TOMLDocument) -> None:
    files.write(path, tomlkit.dumps(document).encode(), files.CONFIGURATION)
