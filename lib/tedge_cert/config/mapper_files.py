# SPDX-License-Identifier: Apache-2.0
"""Make and remove the files below ``mappers``, in which thin-edge 2.x keeps the settings of each cloud profile."""

import os
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tedge_cert.config.settings import SYSTEM_DIRECTORY, Tree
from tedge_cert.disk import files, owners
from tedge_cert.errors import ConfigurationError, TedgeCertError

_TYPE = "cloud_type"


def with_type(text: str, cloud: str) -> str:
    """Return the text of a file with the line by which thin-edge's mapper finds its cloud, as its first line."""
    if _TYPE in tomllib.loads(text):
        return text
    end = "\r\n" if "\r\n" in text else "\n"
    return f'{_TYPE} = "{cloud}"{end}{text}'


def has_no_setting(tree: Tree) -> bool:
    """Return whether a file holds nothing but the type of its cloud: its profile does not exist any more."""
    return not tree.keys() - {_TYPE}


def make_directories(file: Path) -> Iterator[Path]:
    """Make ``mappers`` and the directory of ``file`` where they are missing, and yield each that was made.

    Below /etc/tedge an existing one has to be root's, because another user could put a link to any file into it.
    """
    for each in (file.parent.parent, file.parent):
        if each.is_dir() and file.is_relative_to(SYSTEM_DIRECTORY) and not owners.is_roots(each.stat()):
            raise ConfigurationError(
                f"{each} can be written by others than root, who could lead this command to any file; make it "
                f"root's (`sudo chown -R root:root {each}`, `sudo chmod -R go-w {each}`) and look at what is in it"
            )
        is_new = not each.is_dir()
        try:
            files.make_directory(each, owners.DIRECTORY_OF_ROOT)
            if _is_half_made(each):
                owners.give(each, owners.DIRECTORY_OF_ROOT)
        except OSError as error:
            raise TedgeCertError(f"cannot make the directory {each}: {error.strerror}; nothing was changed") from error
        if is_new:
            files.sync_directory(each.parent)
            yield each


def _is_half_made(directory: Path) -> bool:
    """Return whether a killed run left the directory as ``files.make_directory`` makes it, shut to other users."""
    facts = directory.stat()
    return facts.st_uid == os.geteuid() and facts.st_mode & 0o777 == 0o700 and not any(directory.iterdir())


def remove(file: Path) -> None:
    """Remove a file with its directory; a directory that holds something else, such as flows, stays."""
    files.remove(file.resolve() if file.is_symlink() else file)
    with suppress(OSError):
        os.rmdir(file.parent)  # noqa: PTH106
        files.sync_directory(file.parent.parent)
