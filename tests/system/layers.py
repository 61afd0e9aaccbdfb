# SPDX-License-Identifier: Apache-2.0
"""Compare the tree of a device with what it was, and find what has to be deleted and written to bring it back."""

import filecmp
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

_OPAQUE = "trusted.overlay.opaque"
_REDIRECT = "trusted.overlay.redirect"


@dataclass
class Changes:
    """Paths below the root to delete, and to write again from the file beside each."""

    delete: list[str] = field(default_factory=list)
    write: dict[str, Path] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.delete or self.write)


def _is_whiteout(path: Path) -> bool:
    facts = path.lstat()
    return stat.S_ISCHR(facts.st_mode) and facts.st_rdev == 0


def _is_directory(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def _names(directory: Path) -> list[str]:
    return [each.name for each in directory.iterdir()]


def _hides(directory: Path) -> bool:
    """Whether a directory of a layer hides what the layers below have of it."""
    names = os.listxattr(directory, follow_symlinks=False)
    return _OPAQUE in names or _REDIRECT in names


def _metadata(path: Path) -> tuple[int, int, int]:
    facts = path.lstat()
    return facts.st_mode, facts.st_uid, facts.st_gid


def _same(one: Path, other: Path) -> bool:
    if _metadata(one) != _metadata(other):
        return False
    if one.is_symlink():
        return one.readlink() == other.readlink()
    return not one.is_file() or filecmp.cmp(one, other, shallow=False)


@dataclass(frozen=True)
class Layers:
    """What an overlay showed of these layers, the topmost first; paths are relative to its root."""

    layers: tuple[Path, ...]

    def _covered(self, layer: Path, path: str) -> bool:
        """Whether the layer hides the path from the layers below, without having it."""
        for parent in [*Path(path).parents][-2::-1]:
            place = layer / parent
            if not os.path.lexists(place):
                return False
            if not _is_directory(place) or _hides(place):
                return True
        return False

    def _of(self, path: str) -> list[Path]:
        """Return what the layers have of the path: a file, or directories that are shown as one."""
        found: list[Path] = []
        for layer in self.layers:
            place = layer / path
            if os.path.lexists(place):
                if _is_whiteout(place) or (found and not _is_directory(place)):
                    break
                found.append(place)
                if not _is_directory(place) or _hides(place):
                    break
            elif self._covered(layer, path):
                break
        return found

    def find(self, path: str) -> Path | None:
        """Return the file that was seen at the path."""
        return next(iter(self._of(path)), None)

    def names(self, path: str) -> set[str]:
        """Return what was listed in the directory."""
        return {each for place in self._of(path) if _is_directory(place) for each in _names(place)}

    def everything(self, path: str) -> dict[str, Path]:
        """Return what was seen at the path and below."""
        place = self.find(path)
        found = {} if place is None else {path: place}
        for name in sorted(self.names(path)):
            found |= self.everything(f"{path}/{name}")
        return found


def changes(upper: Path, kept: Path, lowers: tuple[Path, ...], ignored: tuple[str, ...]) -> Changes:
    """Compare `upper`, the changes of an overlay over `lowers`, with the copy `kept` of it from before."""
    comparison = _Comparison(upper, kept, Layers((kept, *lowers)), ignored)
    comparison.directory("", hides=False)
    return comparison.found


@dataclass(frozen=True)
class _Comparison:
    upper: Path
    kept: Path
    before: Layers
    ignored: tuple[str, ...]
    found: Changes = field(default_factory=Changes)

    def directory(self, path: str, *, hides: bool) -> None:
        """Compare a directory of the upper layer; `hides`: nothing of the layers below is seen in it."""
        names = {each for top in (self.upper / path, self.kept / path) if top.is_dir() for each in _names(top)}
        for name in sorted(names | (self.before.names(path) if hides else set())):
            below = f"{path}/{name}".lstrip("/")
            if below not in self.ignored:
                self._entry(below, hides=hides)

    def _entry(self, path: str, *, hides: bool) -> None:
        now, was = self.upper / path, self.before.find(path)
        if not os.path.lexists(now) or _is_whiteout(now):
            # A name that has gone from the upper layer without a trace was in no layer below.
            self.found.write |= self.before.everything(path)
        elif was is None:
            self.found.delete.append(path)
        elif _is_directory(now) and _is_directory(was):
            if _metadata(now) != _metadata(was):
                self.found.write[path] = was
            self.directory(path, hides=hides or _hides(now))
        elif _is_directory(now) or _is_directory(was):
            self.found.delete.append(path)
            self.found.write |= self.before.everything(path)
        elif not _same(now, was):
            self.found.write[path] = was
