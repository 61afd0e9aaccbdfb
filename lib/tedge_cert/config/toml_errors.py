# SPDX-License-Identifier: Apache-2.0
"""Say in plain words, with line and column, why a file is not TOML in UTF-8, and what to type."""

import shlex
from pathlib import Path

# What the parser says, by its first words, and what a person is told.
_WORDS = {
    "Cannot declare": "this table is there twice; write each [table] once",
    "Cannot overwrite": "this key is there twice, or it is a value above and a table here",
    "Cannot mutate": "this table is complete above and cannot be continued here; write each [table] once",
    "Cannot redefine": "this name is a value above and a table here",
    "Duplicate": "this key is there twice",
    "Expected '='": "expected = after the key",
    "Expected newline": "expected the end of the line after the value; text needs quotes",
    "Expected ']": "expected ] at the end of the name of a table",
    "Expected": "this text is not closed; expected a quote at its end",
    "Invalid value": "expected a value: text in quotes, a number, true or false, or a list in [ ]",
    "Invalid initial": "expected a key of letters, digits, - and _",
    "Invalid statement": "expected a key with = and a value, or a [table]",
    "Invalid date": "this is no date",
    "Unclosed array": "this list is not closed; expected ]",
    "Unclosed inline": "this table is not closed; expected }",
    "Unterminated": "this text is not closed; expected a quote at its end",
    "Illegal": "this character is not allowed here; a text ends on its line, with a quote",
    "Found invalid": "this character is not allowed here",
    "Unescaped": "a backslash in a text is written twice, or the text is in single quotes",
    "Invalid hex": "a backslash in a text is written twice, or the text is in single quotes",
    "Escaped": "a backslash in a text is written twice, or the text is in single quotes",
}


def editor(path: str, line: int = 1) -> str:
    """Return the command that opens a file of root at a place."""
    return f"sudo editor +{line} {shlex.quote(path)}"


def editor_at(path: str, name: str) -> str:
    """Return the command that opens the file where it sets a key, by the last part of its name."""
    last = name.rpartition(".")[2]
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    found = (at for at, line in enumerate(lines, 1) if last in line.partition("=")[0])
    return editor(path, next(found, 1))


def describe(path: str, content: bytes, error: Exception) -> str:
    """Return what is wrong with the file at ``path``, why it could not be parsed, and what to type."""
    if (encoding := _utf_16(content)) is not None:
        return f"{path} is in UTF-16, expected UTF-8: `{_conversion(path, encoding)}` converts it"
    if isinstance(error, UnicodeDecodeError):
        line, column = _place(content[: error.start])
        return (
            f"{path} is not UTF-8: line {line}, column {column} has the byte 0x{content[error.start]:02x}; if it was "
            f"written in Latin-1, `{_conversion(path, 'LATIN1')}` converts it"
        )
    said, _, at = str(error).rpartition(" (at ")
    numbers = "".join(each if each.isdecimal() else " " for each in at).split()
    # The parser has no place for the end of the file, and none for some mistakes in newer versions.
    line, column = (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else _place(content.rstrip())
    words = next((words for start, words in _WORDS.items() if said.startswith(start)), "this is not allowed here")
    return f"{path} is not valid TOML: line {line}, column {column}: {words}; `{editor(path, line)}` opens it there"


def _place(before: bytes) -> tuple[int, int]:
    """Return line and column of the character that follows ``before``."""
    return before.count(b"\n") + 1, len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1


def _utf_16(content: bytes) -> str | None:
    """Return the name of the encoding if the file is in UTF-16; None if it is not."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "UTF-16"
    if b"\0" in content[:2]:
        return "UTF-16BE" if content[:1] == b"\0" else "UTF-16LE"
    return None


def _conversion(path: str, encoding: str) -> str:
    old, new = shlex.quote(path), shlex.quote(f"{path}.utf8")
    return f"sudo iconv -f {encoding} -t UTF-8 -o {new} {old} && sudo mv {new} {old}"
