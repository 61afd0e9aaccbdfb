# SPDX-License-Identifier: Apache-2.0
"""Lock a certificate path, for every command that may change files there."""

import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tedge_cert import cures, journal
from tedge_cert.deadline import bounded
from tedge_cert.disk import files, owners
from tedge_cert.errors import TedgeCertError

WAIT_S = 90.0


@contextmanager
def locked(certificate: Path, directory: Path, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the lock of ``certificate``; wait for its holder at most ``wait_s`` seconds.

    ``directory`` holds the lock files (``/run/tedge-cert-renewer``). The lock ends with the process, and no child
    inherits it. Raises TedgeCertError, which names the holder.
    """
    lock_file = directory / name_for(certificate)
    with _held(_open(lock_file), lock_file, certificate, wait_s):
        _say_who(lock_file)
        yield


def name_for(certificate: Path) -> str:
    """Return the name of the file that locks ``certificate``."""
    return os.fspath(certificate).strip("/").replace("/", "-") + ".lock"


@contextmanager
def locked_directory(directory: Path) -> Iterator[None]:
    """Lock a directory itself, without a file in it; raises TedgeCertError."""
    with _held(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), directory, directory):
        yield


@contextmanager
def locked_file(lock_file: Path) -> Iterator[None]:
    """Hold a lock of root that no other user can open; raises TedgeCertError."""
    flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(lock_file, flags, owners.CONFIGURATION_LOCK.mode)
    except OSError as error:
        raise TedgeCertError(f"cannot open the lock {lock_file}: {error.strerror}; run this command as root") from error
    with _held(descriptor, lock_file, lock_file):
        owners.apply_access(descriptor, owners.CONFIGURATION_LOCK)
        yield


@contextmanager
def _held(descriptor: int, lock_file: Path, of: Path, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the lock of an open file, which is that ``of`` a path, and close the file."""
    try:
        _acquire(descriptor, lock_file, of, wait_s)
        yield
    finally:
        os.close(descriptor)


def wait_for_all(directory: Path) -> None:
    """Wait until no command holds a lock in ``directory``, for an upgrade; its caller bounds the time.

    It runs as user tedge, and opens nothing but plain files: whatever tedge put there holds up nothing longer.
    """
    for lock_file in sorted(directory.glob("*.lock")):
        with owners.opened(lock_file, os.O_NONBLOCK) as descriptor:
            if descriptor is None:
                journal.debug(f"{lock_file} cannot be opened, and is not waited for")
            elif stat.S_ISREG(os.fstat(descriptor).st_mode):
                fcntl.flock(descriptor, fcntl.LOCK_EX)


def _open(lock_file: Path) -> int:
    try:
        files.make_directory(lock_file.parent, owners.SHARED_DIRECTORY)
        # Read-only, because tedge cannot open a file of root for writing, and flock(2) needs no write access.
        # Never unlinked, because two processes could then hold two locks of one name.
        descriptor = os.open(
            lock_file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, owners.LOCK.mode
        )
    except OSError as error:
        raise TedgeCertError(
            f"cannot open the lock {lock_file}: {error.strerror}; expected the directory {lock_file.parent}, "
            f"which `sudo systemd-tmpfiles --create tedge-cert-renewer-common.conf` makes{cures.mend(error)}"
        ) from error
    facts = os.fstat(descriptor)
    # Leave a file of root alone that another user linked here.
    if facts.st_uid == os.geteuid() and facts.st_nlink == 1:
        owners.apply_access(descriptor, owners.LOCK)
    return descriptor


def _acquire(descriptor: int, lock_file: Path, certificate: Path, wait_s: float) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        journal.info(f"waiting for {_holder(lock_file)} to finish with {certificate}")
    else:
        return
    try:
        with bounded(wait_s, "waiting"):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except TimeoutError as error:
        raise TedgeCertError(
            f"{_holder(lock_file)} still works on {certificate} after {wait_s:g} s; try again when it has ended"
        ) from error


def _say_who(lock_file: Path) -> None:
    try:
        # Left by holders that were killed while they wrote; only the holder of the lock writes here.
        files.remove_stale_temporaries(_holder_file(lock_file))
        name = Path(sys.argv[0]).name or "python"
        files.write(_holder_file(lock_file), f"{name} (process {os.getpid()})".encode(), owners.HANDOVER)
    except (TedgeCertError, OSError) as error:
        # The name only helps a process that waits; its loss must not stop a renewal.
        journal.debug(str(error))


def _holder_file(lock_file: Path) -> Path:
    return lock_file.with_suffix(".holder")


def _holder(lock_file: Path) -> str:
    try:
        return files.read_regular(_holder_file(lock_file), 200).decode(errors="replace")
    except OSError:
        return "another process"


if __name__ == "__main__":
    wait_for_all(Path("/run/tedge-cert-renewer"))
