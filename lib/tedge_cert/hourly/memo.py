# SPDX-License-Identifier: Apache-2.0
"""Skip the full check while nothing it depends on has changed.

A full check that finds nothing to do leaves a memo: when the certificate is due (never a verdict), and the facts of
every file it read. The next hour reads the memo. While command line, environment, clock and all those files are the
same, there is nothing to do before that time; any doubt leads to a full check.

The reader imports built-in modules only: ``os`` would cost a quarter of an interpreter. The writer runs in a full
check, which has imported more.
"""

import posix
import time

from tedge_cert.durations import format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tedge_cert.hourly.validity import Validity

FORMAT = "tedge-cert-renewer 1"
END = "end"
DIRECTORY = "tedge-cert-renewer"
# A full check is made at least this often, even if all facts are the same.
LONGEST_NS = 86_400 * 10**9
# How far the clock may drift from the time since the boot: a time server slews it, a person who sets it makes it leap.
DRIFT_NS = 60 * 10**9
_LIMIT_BYTES = 32_768
_SHARED = 0o022


def clocks() -> tuple[int, int]:
    """Return the time of day and the time since the boot, sleep included, both in nanoseconds."""
    return time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def file_for(arguments: list[str], environment: dict[bytes, bytes]) -> str:
    """Return the path of the memo for this command line; empty unless it is the command line of a unit."""
    profile = ""
    if len(arguments) == 4 and arguments[2] == "--profile" and "/" not in arguments[3]:
        profile = f"@{arguments[3]}"
    elif len(arguments) != 2:
        return ""
    if arguments[:2] != ["--systemd", "c8y"]:
        return ""
    run = environment.get(b"TEDGE_RUN_PATH", b"/run").decode("utf-8", "surrogateescape")
    return f"{run}/{DIRECTORY}/c8y{profile}.hour"


def key_of(arguments: list[str], environment: dict[bytes, bytes]) -> str:
    """Return one line for command line, user and settings."""
    settings = sorted(each for each in environment.items() if each[0].startswith((b"TEDGE_", b"RENEWAL_SPREAD")))
    return repr((FORMAT, posix.geteuid(), arguments, settings))


def facts_of(path: str) -> str:
    """Return text that changes with the content of a file; raises OSError if the file cannot be examined."""
    try:
        found = posix.stat(path)
    except FileNotFoundError:
        return "absent"
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def line_of(path: str, left_s: int, threshold: str) -> str:
    """Return the line for a certificate that is not due."""
    return f"{path} is valid for {format_duration(left_s, 2)}, renewing below {threshold}: nothing to do"


def known_line(
    file: str, arguments: list[str], environment: dict[bytes, bytes], now_ns: int, since_boot_ns: int
) -> str:
    """Return the line that a full check would print now, or "" if anything may have changed since the last one.

    Raises OSError or ValueError if there is no valid memo.
    """
    key, now, since_boot, due_s, not_after_s, path, threshold, *watched, end = _read(file).split("\n")
    elapsed_ns, passed_ns = now_ns - int(now), since_boot_ns - int(since_boot)
    if (
        key != key_of(arguments, environment)
        or end != END
        or not watched
        or not 0 <= elapsed_ns < LONGEST_NS
        or not -DRIFT_NS < elapsed_ns - passed_ns < DRIFT_NS
        or now_ns >= int(due_s) * 10**9
        or _is_there(path + ".previous")
    ):
        return ""
    for each in watched:
        facts, _, name = each.partition(" ")
        if facts_of(name) != facts:
            return ""
    return line_of(path, (int(not_after_s) * 10**9 - now_ns) // 10**9, threshold)


def is_quiet(arguments: list[str]) -> bool:
    """Return whether there is nothing to do, and print the line if so."""
    environment = posix.environ
    # Tedge wrote the memo, so root does not read it: a check by root becomes tedge first.
    if posix.geteuid() == 0 and b"TEDGE_CONFIG_DIR" not in environment:
        return False
    try:
        file = file_for(arguments, environment)
        line = known_line(file, arguments, environment, *clocks()) if file else ""
    except (OSError, ValueError):
        # There is no memo, or it is not ours: the full check finds out what is wrong, if anything.
        return False
    if line:
        _say(line, environment)
    return bool(line)


def _read(file: str) -> str:
    """Read the memo if only root or this user can have written it: a regular file that no other user can write."""
    descriptor = posix.open(file, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC)
    try:
        found = posix.fstat(descriptor)
        is_ours = found.st_mode & 0o170000 == 0o100000 and not found.st_mode & _SHARED
        if not is_ours or found.st_uid not in (0, posix.geteuid()) or found.st_size > _LIMIT_BYTES:
            return ""
        return posix.read(descriptor, _LIMIT_BYTES).decode()
    finally:
        posix.close(descriptor)


def _is_there(path: str) -> bool:
    try:
        posix.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _say(line: str, environment: dict[bytes, bytes]) -> None:
    """Print a line with the level that ``journal`` gives it, without the imports of that module."""
    try:
        found = posix.fstat(2)
        to_journal = environment.get(b"JOURNAL_STREAM") == b"%d:%d" % (found.st_dev, found.st_ino)
        posix.write(2, f"{'<6>' if to_journal else ''}{line}\n".encode())
    except OSError:
        # The reader has gone. As in ``journal``, that does not change the exit code.
        return


# Some file systems count time in steps of this length, so a file that changed so recently could change again with the
# same facts.
SETTLED_NS = 2 * 10**9
# Another version of the library may decide otherwise, so the memo watches its directories: the root and each room.
_LIBRARY = __file__.rpartition("/hourly/")[0]


def write(
    arguments: list[str],
    environment: dict[bytes, bytes],
    watched: list[str],
    validity: "Validity",
    due: tuple[float, str],
    path: str,
    began_ns: tuple[int, int],
) -> None:
    """Write the memo of a full check that began at ``began_ns`` (see ``clocks``) and found nothing to do.

    ``watched`` are the files that the check depends on, ``path`` is the certificate; ``due`` is how many seconds
    before its end it is due, and the threshold in words. Nothing is written for a command line that is not a unit's,
    and where a file changed just now. A memo that cannot be written costs the next hour a full check.
    """
    file = file_for(arguments, environment)
    if not file:
        return
    lead_s, threshold = due
    try:
        facts = [(facts_of(each), each) for each in [*_library(), *watched]]
        changed_ns = [int(each.rpartition(":")[2]) for each, _ in facts if ":" in each]
        if max(changed_ns) > began_ns[0] - SETTLED_NS or not all(each.startswith("/") for each in watched):
            return
        lines = [
            key_of(arguments, environment),
            *(str(each) for each in began_ns),
            # A second early: at the due time itself a full check decides.
            str(int(validity.not_after_s - lead_s) - 1),
            str(validity.not_after_s),
            path,
            threshold,
            *(" ".join(each) for each in facts),
            END,
        ]
        _replace(file, "\n".join(lines).encode())
    except (OSError, ValueError) as error:
        from tedge_cert import journal

        journal.debug(f"the next hour makes a full check: {error}")


def _library() -> list[str]:
    """List the directories of the library."""
    rooms = [f"{_LIBRARY}/{each}" for each in posix.listdir(_LIBRARY) if "." not in each and each != "__pycache__"]
    return [_LIBRARY, *sorted(rooms), f"{_LIBRARY}/config/keys"]


def _replace(file: str, content: bytes) -> None:
    """Replace the file in one step. It is not synced: the directory does not outlive the boot either."""
    temporary = f"{file}.tmp"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
    try:
        descriptor = posix.open(temporary, flags, 0o644)
    except FileExistsError:
        # A killed run left it, or another one writes now. Remove it; the next hour writes the memo.
        posix.unlink(temporary)
        return
    try:
        # The mode is set, because the umask may have taken a part of it.
        posix.fchmod(descriptor, 0o644)
        posix.write(descriptor, content)
    finally:
        posix.close(descriptor)
    posix.rename(temporary, file)
