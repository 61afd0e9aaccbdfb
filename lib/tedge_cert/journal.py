# SPDX-License-Identifier: Apache-2.0
"""Write plain lines for the journal and for people, each with a level.

Under systemd a line begins with its level (sd-daemon(3)), which journald stores as its priority. Elsewhere people read
the line as it is. The hourly check uses this module, so it imports nothing.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

ERROR, WARNING, NOTICE, INFO, DEBUG = 3, 4, 5, 6, 7
LEVELS = {"error": ERROR, "warn": WARNING, "info": INFO, "debug": DEBUG, "trace": DEBUG}

# What our own lines steer a terminal with: colours, and black on white for a QR code (ECMA-48 §8.3.117).
OWN = ("\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[30;107m", "\x1b[0m")
_WORDS = {ERROR: "error: ", WARNING: "warning: "}
_threshold = INFO


def set_threshold(level: int) -> None:
    """Leave out lines that are less important than ``level``; a higher number is less important (sd-daemon(3))."""
    global _threshold  # noqa: PLW0603 (one process, one log)
    _threshold = level


def level_of(name: str) -> int:
    """Return the level that an option names by a word or a number, 1 (error) to 5 (trace); raises ValueError."""
    words = list(LEVELS)
    if name.isdecimal() and 1 <= int(name) <= len(words):
        name = words[int(name) - 1]
    if name.lower() not in LEVELS:
        raise ValueError(f"expected one of {', '.join(words)}, or 1 to {len(words)}")
    return LEVELS[name.lower()]


def threshold_of_environment() -> int:
    """Return the level in ``SYSTEMD_LOG_LEVEL``, by which a drop-in turns on debug lines (systemd(1))."""
    name = os.environ.get("SYSTEMD_LOG_LEVEL", "")
    return {**LEVELS, "warning": WARNING, "notice": NOTICE, "err": ERROR}.get(name, INFO)


def line(level: int, text: str) -> None:
    """Write ``text`` to stderr as one line."""
    if level > _threshold:
        return
    prefix = f"<{level}>" if is_journal() else _WORDS.get(level, "")
    _emit(f"{prefix}{printable(text)}\n")


def printable(text: str) -> str:
    """Replace line breaks and control characters by blanks.

    Text of servers and files is part of our lines. It must not begin a line or a field of its own, nor control the
    terminal of a reader.
    """
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def plain(text: str) -> str:
    """Return text of several lines without what steers a terminal, save our own colours.

    Control characters, those that change the direction of text, and bytes that are no text are shown by their number.
    """
    if text.isprintable():
        return text
    import re

    parts = re.split(f"({'|'.join(map(re.escape, OWN))})", text)
    return "".join(part if part in OWN else "".join(map(_shown, part)) for part in parts)


def quoted(text: str) -> str:
    """Return text of others on one line: line breaks, colours and all that ``plain`` shows are shown by number."""
    return text if text.isprintable() else "".join(each if each.isprintable() else _number(each) for each in text)


def _shown(character: str) -> str:
    return character if character.isprintable() or character in "\n\t" else _number(character)


def _number(character: str) -> str:
    number = ord(character)
    # A byte that is no text, as Python carries it (PEP 383).
    return f"\\x{number - 0xDC00:02X}" if 0xDC80 <= number <= 0xDCFF else f"\\{number:04X}"


def say(text: str) -> None:
    """Write several lines for a person."""
    if _threshold >= INFO:
        _emit(plain(text) + "\n")


def write(stream: "TextIO", text: str) -> None:
    """Write text to a stream of any encoding; what the encoding does not have is shown by its number."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        stream.write(text.encode(stream.encoding, "backslashreplace").decode(stream.encoding))


def _emit(text: str) -> None:
    try:
        write(sys.stderr, text)
        sys.stderr.flush()
    except OSError:
        # The reader (a pager, or the journal) has ended. The certificate still has to be renewed.
        return


def is_journal() -> bool:
    """Return whether stderr is connected to the journal (``$JOURNAL_STREAM``, systemd.exec(5))."""
    stream = os.environ.get("JOURNAL_STREAM")
    if not stream:
        return False
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"


def info(text: str) -> None:
    """Write a line about normal operation."""
    line(INFO, text)


def debug(text: str) -> None:
    """Write a line that helps to find the cause of a problem."""
    line(DEBUG, text)


def warning(text: str) -> None:
    """Write a line about something that a person should look at, although the step continues."""
    line(WARNING, text)


def error(text: str) -> None:
    """Write a line about what made the step fail."""
    line(ERROR, text)
