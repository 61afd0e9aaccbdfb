# SPDX-License-Identifier: Apache-2.0
"""Run the executable ``tedge-WORDS`` with the longest name that ``tedge WORDS…`` begins with."""

import os
import sys

from tedge_cert import VERSION
from tedge_cert.errors import USAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tedge_cert.cli.arguments import Parser


def run(words: list[str], parser: "Callable[[], Parser]") -> int:
    """Replace this process by the command that ``words`` name; without one, explain which commands exist."""
    directory = os.path.dirname(os.path.realpath(sys.argv[0]))  # noqa: PTH120 (pathlib would double the start-up)
    options, words = _global_options(words)
    words = _help_as_option(words)
    for count in range(len(words), 0, -1):
        path = f"{directory}/tedge-{'-'.join(words[:count])}"
        if all(word.replace("-", "").isalnum() for word in words[:count]) and os.access(path, os.X_OK):
            os.execv(path, [path, *_overruling(options, words[count:]), *words[count:]])
    if words[:1] in (["-V"], ["--version"]):
        from tedge_cert import terminal

        terminal.out(f"tedge {VERSION} (tedge-cert-renewer)\n")
        return 0
    return _explain(directory, options, words, parser)


def _explain(
    directory: str, options: "list[tuple[int, list[str]]]", words: list[str], parser: "Callable[[], Parser]"
) -> int:
    """Write the help if it was asked for, the mistake in one line, or the commands that ``words`` could begin."""
    # Imported here, because a command that exists is executed without it.
    from tedge_cert import terminal

    count = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
    plain, rest = words[:count], words[count:]
    text = _overview(directory, plain, parser)
    if text and {"-h", "--help"} & set(rest[: rest.index("--")] if "--" in rest else rest):
        terminal.out(text)
        return 0
    wrong = ""
    if plain and not text:
        wrong = f"there is no command 'tedge {' '.join(plain)}'{_nearest(directory, plain)}"
    elif rest:
        wrong = f"'{rest[0]}' is no option of `{' '.join(['tedge', *plain])}`, and no command follows it"
    elif options and options[-1][1] in (["--config-dir"], ["--log-level"]):
        wrong = f"{options[-1][1][0]} expects a value"
    if wrong:
        family = " ".join(["tedge", *(plain if text else _family(directory, plain))])
        terminal.tell(f"error: {wrong}; see `{family} --help`\n".replace("?;", "?"))
    else:
        terminal.tell(text)
    return USAGE


def _family(directory: str, plain: list[str]) -> list[str]:
    """Return the first word of a command that does not exist, if commands begin with it: `cert`."""
    return plain[:1] if plain[1:] and commands(directory, f"{plain[0]}-") else []


def _help_as_option(words: list[str]) -> list[str]:
    """Turn ``help cert renew`` and ``cert help renew`` into ``cert renew --help``."""
    at = 1 if words[:1] in (["cert"], ["config"], ["http"]) else 0
    return [*words[:at], *words[at + 1 :], "--help"] if words[at : at + 1] == ["help"] else words


def _global_options(words: list[str]) -> "tuple[list[tuple[int, list[str]]], list[str]]":
    """Return the options of every command, each with the number of words before it, and the other words."""
    options: list[tuple[int, list[str]]] = []
    plain: list[str] = []
    at = 0
    while at < len(words):
        name = words[at].partition("=")[0]
        if name == "--debug" or (name in ("--config-dir", "--log-level") and "=" in words[at]):
            count = 1
        elif name in ("--config-dir", "--log-level"):
            count = 2
        elif words[at].startswith("-"):
            break
        else:
            plain.append(words[at])
            at += 1
            continue
        options.append((len(plain), words[at : at + count]))
        at += count
    return options, plain + words[at:]


def _overruling(options: "list[tuple[int, list[str]]]", rest: list[str]) -> list[str]:
    """Return the options that no later word repeats; a later one counts, but twice in one place is a mistake."""
    kept: list[str] = []
    for at, each in options:
        name = each[0].partition("=")[0]
        later = [other[0] for place, other in options if place > at] + rest
        if name not in (word.partition("=")[0] for word in later):
            kept += each
    return kept


def commands(directory: str, prefix: str = "") -> dict[str, str]:
    """Return the commands as they are typed, each with the first line of its executable's docstring."""
    names = sorted(each for each in os.listdir(directory) if each.startswith(f"tedge-{prefix}"))  # noqa: PTH208
    rows = ((each.removeprefix("tedge-"), _summary(f"{directory}/{each}")) for each in names)
    return {name.replace("cert-", "cert ", 1): summary for name, summary in rows if summary}


def _nearest(directory: str, words: list[str]) -> str:
    from difflib import get_close_matches

    known = commands(directory)
    # The words of a command may be followed by its arguments.
    for count in range(len(words), 0, -1):
        near = get_close_matches(" ".join(words[:count]), known, 1)
        if near:
            return f"; did you mean 'tedge {near[0]}'?"
    return ""


def _overview(directory: str, prefix: list[str], parser: "Callable[[], Parser]") -> str:
    """Return the help of the commands that begin with ``prefix``; empty if there are none."""
    found = commands(directory, "".join(f"{word}-" for word in prefix))
    if not found:
        return ""
    width = max(len(name) for name in found)
    lines = "".join(f"  tedge {name:<{width}}  {summary}\n" for name, summary in found.items())
    made = parser()
    made.usage = f"{' '.join(['tedge', *prefix])} [OPTIONS] COMMAND …"
    made.description = (f"{made.description}\n\n" if not prefix else "") + f"commands:\n{lines}"
    return made.format_help()


def _summary(path: str) -> str:
    """Return the first line of an executable's docstring; empty for a program that is not ours."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            for line in file:
                text = line.removeprefix("__doc__ = ")
                # A script that begins in sh has a string without words above its docstring.
                if text.startswith('"""') and any(map(str.isalpha, text)):
                    return text.strip().strip('"').rstrip(".")
    except (OSError, UnicodeDecodeError):
        return ""
    return ""
