# SPDX-License-Identifier: Apache-2.0
"""Move the settings of each cloud from ``tedge.toml`` into the files of thin-edge 2.x, below ``mappers``.

Everything is written beside its final name first, so that a missing right or a full disk changes nothing. Then the
new files appear one by one, and ``tedge.toml`` loses the clouds last: the next run completes one that was killed.
"""

import errno
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from tedge_cert.config import edit, mapper_files, moved_text
from tedge_cert.config.keys import CLOUDS
from tedge_cert.config.keys.table import present_name
from tedge_cert.config.settings import BOM, Config, Tree, leaves
from tedge_cert.config.values import is_profile
from tedge_cert.disk import files, owners
from tedge_cert.errors import ConfigurationError, TedgeCertError


@dataclass(frozen=True)
class Moved:
    """The clouds that were moved, the former ``tedge.toml``, and former files of mappers with other settings."""

    clouds: tuple[str, ...]
    backup: Path
    replaced: tuple[Path, ...]


@dataclass(frozen=True)
class _File:
    """A file to write: its content now (None if there is none) and then. ``is_kept``: the former one is kept."""

    path: Path
    former: bytes | None
    content: bytes
    is_kept: bool

    @property
    def backup(self) -> Path:
        return self.path.with_name(f"{self.path.name}.bak")


def upgrade(config: Config) -> Moved | None:
    """Move every cloud, and return what was done; None if there is nothing to move. The caller holds the lock.

    Raises TedgeCertError, and changes nothing then.
    """
    tree = config.tree(config.file) or {}
    clouds = tuple(each for each in CLOUDS if each in tree)
    if not clouds:
        return None
    found = {name: each for cloud in clouds for name, each in _profiles(config.file, cloud, tree[cloud]).items()}
    wanted = {name: each for name, each in found.items() if not mapper_files.has_no_setting(each)}
    main, before = Path(config.file), _read(Path(config.file)) or b""
    head = BOM if before.startswith(BOM) else b""
    stays, texts = _texts(config.file, before.removeprefix(head).decode(), clouds, wanted)
    new = [_new(Path(config.directory, "mappers", name, "mapper.toml"), text) for name, text in texts.items()]
    new = [each for each in new if each.former != each.content]
    _write(new, _File(main, before, head + stays.encode(), is_kept=True))
    return Moved(clouds, _File(main, b"", b"", is_kept=True).backup, tuple(each.backup for each in new if each.is_kept))


def _profiles(file: str, cloud: str, table: object) -> dict[str, Tree]:
    """Return the settings of each profile by the directory of its file, each under its present name."""
    if not isinstance(table, dict) or not isinstance(profiles := table.get("profiles", {}), dict):
        raise ConfigurationError(f"{file}: expected a table {cloud}, and one {cloud}.profiles; mend the file by hand")
    found = {cloud: {key: each for key, each in table.items() if key != "profiles"}}
    for name, each in profiles.items():
        directory = f"{cloud}.{name.lower()}"
        if not is_profile(name) or not isinstance(each, dict) or directory in found:
            raise ConfigurationError(
                f"{file}: {cloud}.profiles.{name} cannot be a profile: expected a table with a name of its own, of "
                "letters, digits, - and _; mend the file by hand"
            )
        found[directory] = dict(each)
    for directory, each in found.items():
        _rename_old(each, cloud, f"{file}, for {directory}/mapper.toml")
    return found


def _rename_old(tree: dict[str, Any], cloud: str, where: str) -> None:
    """Give keys of earlier versions their present names, by which thin-edge reads the new file."""
    for parts in list(leaves(tree)):
        old = ".".join((cloud, *parts))
        name = present_name(old)
        if name in ("", old):
            continue
        node: Any = tree
        for part in parts[:-1]:
            node = node[part]
        value, node = node.pop(parts[-1]), tree
        *above, last = name.split(".")[1:]
        for part in above:
            node = node.setdefault(part, {})
        if last in node:
            raise ConfigurationError(f"{where}: '{old}' is called '{name}' now, which is there too: remove one of them")
        node[last] = value


def _place(clouds: Sequence[str], keys: moved_text.Keys) -> tuple[str, moved_text.Keys]:
    cloud, inner = keys[0], keys[1:]
    if cloud not in clouds:
        return "", keys
    name = cloud
    if inner[:1] == ("profiles",):
        name, inner = (f"{cloud}.{inner[1].lower()}", inner[2:]) if len(inner) > 1 else (cloud, ())
    present = present_name(".".join((cloud, *inner)))
    return name, tuple(present.split(".")[1:]) if present else inner


def _texts(file: str, before: str, clouds: Sequence[str], wanted: dict[str, Tree]) -> tuple[str, dict[str, str]]:
    """Return the text that stays, and that of each file of a mapper.

    Comments go with their settings. Where one table holds several profiles in braces they stay in the backup only.
    """
    try:
        parts = moved_text.split(before, partial(_place, clouds))
    except ValueError:
        parts = {}
    texts = {}
    for name, tree in wanted.items():
        whole = {"cloud_type": (cloud := name.partition(".")[0]), **tree}
        is_right = name in parts and _holds(parts[name], tree)
        texts[name] = mapper_files.with_type(parts[name], cloud) if is_right else tomlkit.dumps(whole)
    rest = {key: each for key, each in tomllib.loads(before).items() if key not in clouds}
    for text in (parts.get("", before), _without(before, clouds)):
        if _holds(text, rest):
            return text, texts
    raise ConfigurationError(
        f"{file}: cannot take {', '.join(clouds)} out and keep everything else as it is; nothing was changed; write "
        "each [table] of the file once, with its sub-tables directly below it, and try again"
    )


def _without(text: str, clouds: Sequence[str]) -> str:
    try:
        document = tomlkit.parse(text)
        for cloud in clouds:
            document.remove(cloud)
        return tomlkit.dumps(document)
    except TOMLKitError:
        return text


def _holds(text: str, tree: Tree) -> bool:
    try:
        return edit.without_empty(tomllib.loads(text)) == edit.without_empty(tree)
    except tomllib.TOMLDecodeError:
        return False


def _new(path: Path, text: str) -> _File:
    """Plan a file; one that holds these settings already keeps its comments."""
    former, cloud = _read(path), path.parent.name.partition(".")[0]
    try:
        present = mapper_files.with_type((former or b"").decode(), cloud)
        is_same = tomllib.loads(present) == tomllib.loads(text)
    except ValueError:
        present, is_same = "", False
    content = present if is_same else text
    return _File(path, former, content.encode(), is_kept=former is not None and not is_same)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}; no setting was moved; move it away") from error


def _write(new: list[_File], main: _File) -> None:
    made: list[Path] = []
    temporaries: list[tuple[_File, Path]] = []
    at = main
    try:
        for at in (*new, main):
            made.extend(mapper_files.make_directories(at.path) if at is not main else ())
            target = edit.target_of(at.path)
            temporaries.append((at, files.write_temporary(target, at.content, owners.CONFIGURATION)))
        for at in (main, *new):
            if at.is_kept:
                files.write(at.backup, at.former or b"", owners.CONFIGURATION)
        for at, temporary in temporaries:
            files.rename(temporary, edit.target_of(at.path))
    except BaseException as error:  # noqa: BLE001 (an interrupt undoes it too)
        for each in (main, *new):
            _undo(each)
        for _, temporary in temporaries:
            temporary.unlink(missing_ok=True)
        for directory in reversed(made):
            with suppress(OSError):
                directory.rmdir()
        raise _refusal(at.path, error.__cause__) if isinstance(error.__cause__, OSError) else error from error.__cause__
    for each in (main, *new):
        files.remove_stale_temporaries(edit.target_of(each.path))


def _undo(file: _File) -> None:
    with suppress(TedgeCertError, OSError):
        if file.former == file.content or file.path.read_bytes() != file.content:
            return
        if file.former is None:
            mapper_files.remove(file.path)
        else:
            files.write(edit.target_of(file.path), file.former, owners.CONFIGURATION)


def _refusal(path: Path, error: OSError) -> TedgeCertError:
    where = next(each for each in path.parents if each.is_dir())
    cure = {
        errno.EACCES: f"run this command as root, or as the user that {where} belongs to",
        errno.EPERM: f"`sudo lsattr -d {where}` shows why, and `sudo chattr -i {where}` lets root write there again",
        errno.EROFS: f"mount the file system of {where} writable",
        errno.ENOSPC: f"free some space on the file system of {where}",
    }.get(error.errno or 0, f"see what stands in its way in {where}")
    return TedgeCertError(f"cannot write {path}: {error.strerror}; no setting was moved; {cure}")
