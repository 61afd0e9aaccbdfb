# SPDX-License-Identifier: Apache-2.0
"""``tedge WORDS…`` runs the longest matching ``tedge-WORDS`` with the rest as its arguments."""

import os
import sys

from tedge_cert.errors import USAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tedge_cert.parsers import Parser

VERSION = "0.1.0"


def run(words: list[str], parser: "Callable[[], Parser]") -> int:
    """Replace this process by the command that ``words`` name, so that its exit code is ours; else list commands."""
    directory = os.path.dirname(os.path.realpath(sys.argv[0]))  # noqa: PTH120 (pathlib would double the start-up)
    options, words = _global_options(words)
    for count in range(len(words), 0, -1):
        path = f"{directory}/tedge-{'-'.join(words[:count])}"
        if all(word.replace("-", "").isalnum() for word in words[:count]) and os.access(path, os.X_OK):
            os.execv(path, [path, *options, *words[count:]])
    if words[:1] in (["-V"], ["--version"]):
        sys.stdout.write(f"tedge {VERSION} (tedge-cert-renewer)\n")
        return 0
    asked = bool({"-h", "--help"} & set(words))
    plain = [word for word in words if not word.startswith("-")]
    text = _overview(directory, plain, parser)
    if asked and text:
        sys.stdout.write(text)
        return 0
    if plain and not asked and not text:
        sys.stderr.write(f"error: there is no command 'tedge {' '.join(plain)}'{_nearest(directory, plain)}\n\n")
    sys.stderr.write(text or _overview(directory, [], parser))
    return USAGE


def _global_options(words: list[str]) -> tuple[list[str], list[str]]:
    """The options that every command takes, from before and between the words of the command, and the rest."""
    options: list[str] = []
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
        options += words[at : at + count]
        at += count
    return options, plain + words[at:]


def commands(directory: str, prefix: str = "") -> dict[str, str]:
    """The commands as they are typed, with a line each: the first one of the docstring of each executable."""
    names = sorted(each for each in os.listdir(directory) if each.startswith(f"tedge-{prefix}"))  # noqa: PTH208
    rows = ((each.removeprefix("tedge-"), _summary(f"{directory}/{each}")) for each in names)
    return {_words(name): summary for name, summary in rows if summary}


def _nearest(directory: str, words: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(" ".join(words), commands(directory), 1)
    return f"; did you mean 'tedge {near[0]}'?" if near else ""


def _overview(directory: str, prefix: list[str], parser: "Callable[[], Parser]") -> str:
    """The commands that begin with ``prefix``, a line each, with what holds for all of them."""
    found = commands(directory, "".join(f"{word}-" for word in prefix))
    if not found:
        return ""
    width = max(len(name) for name in found)
    lines = "".join(f"  tedge {name:<{width}}  {summary}\n" for name, summary in found.items())
    made = parser()
    made.usage = f"{' '.join(['tedge', *prefix])} [OPTIONS] COMMAND …"
    made.description = (f"{made.description}\n\n" if not prefix else "") + f"commands:\n{lines}"
    return made.format_help()


def _words(name: str) -> str:
    """``cert-needs-renewal`` is typed as ``cert needs-renewal``."""
    return "cert " + name.removeprefix("cert-") if name.startswith("cert-") else name


def _summary(path: str) -> str:
    """The first line of the docstring of an executable of ours."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            for line in file:
                if line.startswith('"""'):
                    return line.strip().strip('"').rstrip(".")
    except (OSError, UnicodeDecodeError):
        return ""
    return ""
