# SPDX-License-Identifier: Apache-2.0
"""Plain lines for the journal and for people, each with a level.

Under systemd a line begins with its level as sd-daemon(3) describes, and journald files it with that priority;
anywhere else people read it as it is. Nothing is imported for it: the hourly check speaks through this module.
"""

import os
import sys

ERROR, WARNING, NOTICE, INFO, DEBUG = 3, 4, 5, 6, 7
LEVELS = {"error": ERROR, "warn": WARNING, "info": INFO, "debug": DEBUG, "trace": DEBUG}

_WORDS = {ERROR: "error: ", WARNING: "warning: "}
_threshold = INFO


def set_threshold(level: int) -> None:
    """Leave out lines less important than ``level`` (sd-daemon numbers: a higher one is less important)."""
    global _threshold  # noqa: PLW0603 (one process, one log)
    _threshold = level


def level_of(name: str) -> int:
    """The level that an option names, by its word or its number (1 error to 5 trace); raises ValueError."""
    words = list(LEVELS)
    if name.isdecimal() and 1 <= int(name) <= len(words):
        name = words[int(name) - 1]
    if name.lower() not in LEVELS:
        raise ValueError(f"expected one of {', '.join(words)}, or 1 to {len(words)}, got {name!r}")
    return LEVELS[name.lower()]


def threshold_of_environment(default: int = INFO) -> int:
    """The level that ``SYSTEMD_LOG_LEVEL`` asks for, so that a drop-in can turn on debug lines (systemd(1))."""
    name = os.environ.get("SYSTEMD_LOG_LEVEL", "")
    return {**LEVELS, "warning": WARNING, "notice": NOTICE, "err": ERROR}.get(name, default)


def line(level: int, text: str) -> None:
    """Write ``text`` to stderr as one line.

    Servers and files speak in it too: line breaks, and what would steer the terminal of a reader, become blanks.
    """
    if level > _threshold:
        return
    if not text.isprintable():
        text = "".join(each if each.isprintable() else " " for each in text)
    prefix = f"<{level}>" if is_journal() else _WORDS.get(level, "")
    _emit(f"{prefix}{text}\n")


def say(text: str) -> None:
    """Several lines for a person, as they are."""
    if _threshold >= INFO:
        _emit(text + "\n")


def _emit(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        # The reader has gone, be it a pager or the journal: no reason to leave a certificate to expire.
        return


def is_journal() -> bool:
    """Whether stderr goes to the journal (``$JOURNAL_STREAM``, systemd.exec(5))."""
    stream = os.environ.get("JOURNAL_STREAM")
    if not stream:
        return False
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"


def info(text: str) -> None:
    """A line about the ordinary course of things."""
    line(INFO, text)


def debug(text: str) -> None:
    """A line for whoever looks for the cause of something."""
    line(DEBUG, text)


def warning(text: str) -> None:
    """A line about something that a person should look at, though the step went on."""
    line(WARNING, text)


def error(text: str) -> None:
    """A line about what made the step fail."""
    line(ERROR, text)
