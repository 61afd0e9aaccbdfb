# SPDX-License-Identifier: Apache-2.0
"""Change ``tedge.toml``; comments, order and unknown keys stay as they are."""

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable, Table

from tedge_cert.config import mapper_files, toml_errors
from tedge_cert.config import settings as configuration
from tedge_cert.config.keys import find
from tedge_cert.config.settings import BOM, Config, Tree, cloud_of
from tedge_cert.config.values import Value
from tedge_cert.disk import files, owners
from tedge_cert.disk.lock import locked_directory, locked_file
from tedge_cert.errors import ConfigurationError

# In a directory of root, and for root only: a user who can open a lock can hold it.
_LOCK = Path("/run/tedge-config.lock")


@contextmanager
def alone(config: Config) -> Iterator[None]:
    """Lock the configuration from reading to writing, because one of two concurrent changes would be lost."""
    directory = Path(config.directory)
    if config.is_of_system:
        with locked_file(_LOCK):
            yield
    elif directory.is_dir():
        with locked_directory(directory):
            yield
    else:
        yield  # The write that follows reports the missing directory.


def set_value(config: Config, name: str, text: str) -> None:
    """Store ``text`` as the value of ``name``; raises ConfigurationError and writes nothing if it is not valid."""
    _change(config, name, _parsed(config, name, text))


def unset_value(config: Config, name: str) -> None:
    """Remove ``name``, if it is set."""
    find(name)
    if config.at(*config.place(name), name) is not None:
        _change(config, name, None)


def add_value(config: Config, name: str, text: str) -> None:
    """Add ``text`` to a list, sorted and without duplicates; raises ConfigurationError for a key with one value."""
    value = _names(config, name, text)
    _change(config, name, sorted({*_list(config, name), *value}))


def remove_value(config: Config, name: str, text: str) -> None:
    """Remove ``text`` from a list; raises ConfigurationError for a key with one value."""
    value, present = _names(config, name, text), _list(config, name)
    if set(value) & set(present):
        _change(config, name, [each for each in present if each not in value])


def _names(config: Config, name: str, text: str) -> list[str]:
    value = _parsed(config, name, text)
    if not isinstance(value, list):
        full = config.full_name(name)
        raise ConfigurationError(
            f"{full} is no list: it has one value; `sudo tedge config set {full} <value>` sets it, "
            f"`sudo tedge config unset {full}` removes it"
        )
    return value


def make_main_file(config: Config) -> None:
    """Make an empty ``tedge.toml`` if there is none: thin-edge leaves one after every change, and scripts read it."""
    if config.tree(config.file) is None:
        with suppress(FileExistsError):
            files.create(Path(config.file), b"", owners.CONFIGURATION)


def _list(config: Config, name: str) -> list[str]:
    """Return the value of a list without the environment."""
    stored, _ = config.in_file(name)
    value = find(name).default if stored is None else stored
    return value if isinstance(value, list) else []


def _parsed(config: Config, name: str, text: str) -> Value:
    key = find(name)
    try:
        # A person may type a relative path; a path in a file must be absolute.
        value = key.parse(os.path.abspath(text) if key.is_path and text.isprintable() else text)  # noqa: PTH100
    except ValueError as error:
        raise ConfigurationError(f"cannot set {config.full_name(name)} to '{text}': {error}") from error
    # Keep blanks and empty names of a list as typed; `Config.names` drops them when it reads the file.
    return text.split(",") if isinstance(value, list) else value


def target_of(path: Path) -> Path:
    """Return the file that ``path`` is or leads to, where it is written: the link stays.

    Raises ConfigurationError for a link to a file that is secret, or, for the settings of the system, to a place where
    others than root can write: they could lead root elsewhere.
    """
    target = path.resolve()
    if target == path:
        return path
    if path.is_relative_to(configuration.SYSTEM_DIRECTORY) and not owners.is_only_roots(target.parent):
        raise ConfigurationError(
            f"{path} leads to {target}, and others than root can write in {target.parent} or above it, so root does "
            f"not write there; make the directories root's (`sudo chown root:root {target.parent}`, mode 0755), or "
            "put a file in place of the link"
        )
    if target.exists() and not target.stat().st_mode & 0o004:
        raise ConfigurationError(
            f"{path} is a link to {target}, which not everybody may read, as settings can be: put a file in its place"
        )
    return target


def _change(config: Config, name: str, value: Value | None) -> None:
    """Set ``name``, or remove it if ``value`` is None.

    Writes nothing that, read back, differs from the wanted content in any other key.
    """
    path, parts = config.place(name)
    target = target_of(Path(path))
    # As bytes, because text mode would lose the carriage returns of a file that has them.
    content = target.read_bytes() if target.exists() else b""
    mark = BOM if content.startswith(BOM) else b""
    before = content.removeprefix(mark).decode()
    in_mappers = path != config.file
    if in_mappers:
        before = mapper_files.with_type(before, cloud_of(name))
    complaint = f"{path}: expected a table above {config.full_name(name)}; `{toml_errors.editor(path)}` opens the file"
    wanted = _wanted(before, parts, value, complaint)
    if in_mappers and mapper_files.has_no_setting(wanted):
        mapper_files.remove(Path(path))
        return
    for edit in (_edit_tables, _edit_dotted) if value is not None else (_edit_tables,):
        try:
            document = tomlkit.parse(before)
            edit(document, parts, value)
            text = tomlkit.dumps(document)
            if without_empty(tomllib.loads(text)) != wanted:
                continue
        except (TOMLKitError, tomllib.TOMLDecodeError):
            # tomlkit sometimes cannot write inline tables, dotted keys and tables out of order.
            continue
        if in_mappers:
            list(mapper_files.make_directories(Path(path)))
        files.write(target, mark + text.encode(), owners.CONFIGURATION)
        files.remove_stale_temporaries(target)
        return
    raise ConfigurationError(
        f"{path}: cannot change {config.full_name(name)} and keep everything else as it is; write each [table] of "
        f"the file once, with its sub-tables directly below it (`{toml_errors.editor(path)}`)"
    )


def _wanted(text: str, parts: list[str], value: Value | None, complaint: str) -> Tree:
    """Return what the file is to contain after the change."""
    tree = tomllib.loads(text)
    node: Any = tree
    for part in parts[:-1]:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise ConfigurationError(complaint)
    if value is None:
        del node[parts[-1]]
    else:
        node[parts[-1]] = value
    return without_empty(tree)


def without_empty(tree: Tree) -> Tree:
    """Drop tables that hold nothing, because dotted keys disappear with their last one."""
    found = {key: without_empty(each) if isinstance(each, dict) else each for key, each in tree.items()}
    return {key: each for key, each in found.items() if each != {}}


def _edit_tables(document: tomlkit.TOMLDocument, parts: list[str], value: Value | None) -> None:
    """Edit the usual way: with a ``[table]`` above the key."""
    node: Any = document
    # A super table has no header of its own, so that [c8y.profiles.p] does not write three.
    above = 2 if parts[1:2] == ["profiles"] else 0
    for depth, part in enumerate(parts[:-1]):
        if part not in node:
            node[part] = tomlkit.table(is_super_table=depth < above)
        node = node[part]
    if value is None:
        node.pop(parts[-1])
    else:
        node[parts[-1]] = value


def _edit_dotted(document: tomlkit.TOMLDocument, parts: list[str], value: Any) -> None:
    """Write a dotted key into the innermost existing table, where a new table is not possible."""
    node: Any = document
    depth = 0
    while isinstance(node.get(parts[depth]), dict):
        node, depth = node[parts[depth]], depth + 1
    if isinstance(node, InlineTable):
        for part in parts[depth:-1]:
            node[part] = tomlkit.inline_table()
            node = node[part]
        node[parts[-1]] = value
    elif isinstance(node, tomlkit.TOMLDocument | Table):
        node.append(tomlkit.key(parts[depth:]), tomlkit.item(value))
