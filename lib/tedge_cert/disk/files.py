# SPDX-License-Identifier: Apache-2.0
"""Write files that survive a power cut, each with the owner and mode of its kind from the first instant.

Every write is: temporary file in the same directory, final mode and owner, fsync, rename, fsync of the directory.
"""

import errno
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from tedge_cert import cures
from tedge_cert.disk import owners
from tedge_cert.disk.owners import Access, apply_access
from tedge_cert.errors import TedgeCertError


def write(path: Path, content: bytes, access: Access) -> None:
    """Replace ``path`` by ``content`` in one step: readers see the old file or the new one, whole."""
    temporary = write_temporary(path, content, access)
    try:
        rename(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_state(path: Path, content: bytes, access: Access = owners.HANDOVER) -> None:
    """Write a file for other runs and programs as ``write`` does; make its directory if that is missing."""
    try:
        make_directory(path.parent, owners.SHARED_DIRECTORY)
    except OSError as error:
        raise _cannot_write(path, error) from error
    write(path, content, access)


def create(path: Path, content: bytes, access: Access) -> None:
    """Create ``path`` with its whole ``content``; raises FileExistsError, and changes nothing, if it exists."""
    temporary = write_temporary(path, content, access)
    try:
        os.link(temporary, path)
    except OSError as error:
        raise error if isinstance(error, FileExistsError) else _cannot_write(path, error) from error
    finally:
        temporary.unlink()
    sync_directory(path.parent)


def write_temporary(path: Path, content: bytes, access: Access) -> Path:
    """Write ``content`` to a synced temporary file beside ``path``, and return it; the caller renames it."""
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            apply_access(descriptor, access)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        temporary.unlink()
        raise _cannot_write(path, error) from error
    return temporary


def rename(source: Path, target: Path) -> float:
    """Rename within a directory and sync the directory; if the rename fails, the source stays.

    Returns when others began to see it, in monotonic seconds: the sync can take much longer on a slow disk.
    """
    return rename_together((source, target))


def rename_together(*pairs: tuple[Path, Path]) -> float:
    """Rename files, one right after the other, then sync their directories; returns as ``rename`` does.

    A sync between two renames could take seconds on a slow disk, and a reader of both files would see one of each.
    """
    for source, target in pairs:
        try:
            source.rename(target)
        except OSError as error:
            raise _cannot_write(target, error) from error
    renamed_s = time.monotonic()
    for directory in dict.fromkeys(target.parent for _, target in pairs):
        sync_directory(directory)
    return renamed_s


def make_directory(path: Path, access: Access, above: Access | None = None) -> None:
    """Create a directory, and with ``above`` those that are missing above it; an existing one stays as it is.

    Owner and mode are set, not asked for: the umask of the caller takes nothing away. Raises OSError.
    """
    if path.is_dir():
        return
    if above is not None:
        make_directory(path.parent, above, above)
    path.mkdir(mode=0o700)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        apply_access(descriptor, access)
    finally:
        os.close(descriptor)


def symlink(path: Path, target: Path) -> None:
    """Create ``path`` as a symbolic link to ``target``, and sync its directory; raises if ``path`` exists."""
    try:
        path.symlink_to(target)
    except OSError as error:
        raise _cannot_write(path, error) from error
    sync_directory(path.parent)


def remove(path: Path) -> bool:
    """Remove ``path`` and sync its directory; return whether it existed."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        # A read-only file system reports EROFS also for a file that does not exist.
        if error.errno == errno.EROFS and not os.path.lexists(path):
            return False
        raise _cannot_write(path, error) from error
    sync_directory(path.parent)
    return True


def sync_directory(directory: Path) -> None:
    """Make renames and removals in ``directory`` survive a power cut (fsync(2): the fsync of a file does not)."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        lost = "the last change in it may not outlive a power cut; check the file system"
        raise TedgeCertError(f"cannot sync {directory}: {error.strerror}; {lost}") from error
    finally:
        os.close(descriptor)


class NotPlainFileError(OSError):
    """What was looked at is a link, a directory, a pipe or far too large: nothing that could be read is lost."""


def read_regular(path: Path, limit_bytes: int = 1 << 20, follow: bool = False) -> bytes:
    """Read a regular file that another user may have put there.

    Waits for no pipe or device, reads at most ``limit_bytes``, and follows a symbolic link only if ``follow`` is set.
    Raises NotPlainFileError, or another OSError if the file could not be looked at.
    """
    if path.is_symlink() and not follow:
        raise NotPlainFileError(errno.ELOOP, "is a symbolic link", os.fspath(path))
    no_follow = 0 if follow else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_RDONLY | no_follow | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotPlainFileError(errno.EINVAL, "is not a regular file", os.fspath(path))
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise NotPlainFileError(errno.EFBIG, f"larger than {limit_bytes} bytes", os.fspath(path))
    return content


def remove_stale_temporaries(path: Path) -> int:
    """Remove temporary files that killed runs left beside ``path``, and return their number; call it under its lock."""
    begin = f".{path.name}."
    try:
        names = os.listdir(path.parent)  # noqa: PTH208 (pathlib would look for each name by a regular expression)
    except OSError:
        return 0  # Missing or shut: the command that needs the directory says so.
    stale = [each for each in names if each.startswith(begin) and each.removeprefix(begin).endswith(".tmp")]
    for name in stale:
        (path.parent / name).unlink(missing_ok=True)
    return len(stale)


def _cannot_write(path: Path, error: OSError) -> TedgeCertError:
    reason = error.strerror or str(error)
    # Root's commands also act as tedge where a path comes from the configuration.
    owner = cures.write_refused(path)
    advice = {
        errno.EACCES: owner,
        errno.EPERM: owner,
        errno.EROFS: "the file system is read-only here: mount it writable, or, in a unit, add ReadWritePaths=",
        errno.ENOSPC: "free some space on that file system",
        errno.ENOENT: "create the directory",
    }.get(error.errno or 0, "check the file system")
    return TedgeCertError(f"cannot write {path}: {reason}; nothing was changed there; {advice}")


@dataclass(frozen=True)
class CallerFile:
    """A file that the caller named on the command line, read before root's rights go."""

    path: Path
    content: bytes
    fault: str = ""

    def __str__(self) -> str:
        return str(self.path)

    @staticmethod
    def read(path: Path) -> "CallerFile":
        """Read ``path``; a command that needs the content finds out why there is none."""
        try:
            return CallerFile(path, read_regular(path, follow=True))
        except OSError as error:
            return CallerFile(path, b"", error.strerror or str(error))
