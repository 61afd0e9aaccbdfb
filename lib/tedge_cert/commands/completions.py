# SPDX-License-Identifier: Apache-2.0
"""``tedge completions``: one table made from the parsers, and a few lines for each shell that read it."""

import argparse
import shlex
from dataclasses import dataclass
from pathlib import Path

from tedge_cert.cli.arguments import Parser
from tedge_cert.cli.executables import all_parsers, scripts
from tedge_cert.config.keys.table import KEYS, listed

FILE = ""
"""Stands for the name of a file."""
PROFILE = "<profile>"
"""Stands for a profile of the device, which the shell asks for when it completes."""
# Only names that a profile can have (``values.is_profile``), whatever the list says.
PROFILES = (
    "tedge config list 2>/dev/null | sed -n 's/^[a-z0-9]*\\.profiles\\.\\([A-Za-z0-9_-]*\\)\\..*/\\1/p' | sort -u"
)

# Compared in a loop, because `compgen -W` would expand its words, and so run what stands in `$(…)`.
_BASH = """\
_tedge() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} place=${COMP_WORDS[0]##*/} words word
    place=${place//-/ }
    [[ $current == '=' ]] && current=
    [[ $before == '=' ]] && before=${COMP_WORDS[COMP_CWORD-2]}
    local at
    for ((at = 1; at < COMP_CWORD; at++)); do
        [[ -n $(_tedge_words "$place ${COMP_WORDS[at]}" '') ]] && place="$place ${COMP_WORDS[at]}"
    done
    words=$(_tedge_words "$place" "$before") || words=$(_tedge_words "$place" '')
    if [[ $words == '<file>' ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    else
        COMPREPLY=()
        while read -r word; do
            [[ -n $word && $word == "$current"* ]] && COMPREPLY+=("$(printf %q "$word")")
        done <<< "$words"
    fi
}
complete -F _tedge """
_ZSH = """\
_tedge() {
    local place=${${words[1]:t}//-/ } before=${words[CURRENT-1]} found at
    for ((at = 2; at < CURRENT; at++)); do
        [[ -n $(_tedge_words "$place ${words[at]}" '') ]] && place="$place ${words[at]}"
    done
    if [[ ${words[CURRENT]} == --*=* ]]; then
        before=${words[CURRENT]%%=*}
        compset -P '*='
    fi
    found=$(_tedge_words "$place" "$before") || found=$(_tedge_words "$place" '')
    if [[ $found == '<file>' ]]; then _files; else compadd -- ${(f)found}; fi
}
compdef _tedge """
_FISH = """\
function __tedge_at
    set -l typed (commandline -opc)
    set -l place tedge
    for word in $typed[2..-1]
        contains -- "$place $word" $__tedge_places; and set place "$place $word"
    end
    test "$place" = "$argv"
end
complete -c tedge -f
"""


@dataclass
class Command:
    """The words and ``options`` that may follow a command; an option's values, None for one without a value."""

    words: list[str]
    options: dict[str, list[str] | None]
    helps: dict[str, str]


def table(directory: Path) -> dict[str, Command]:
    """Return the commands of the executables in ``directory`` by the words that are typed."""
    found = all_parsers(directory)
    made: dict[str, Command] = {}
    for name, parser in found.items():
        made[name] = _command(parser)
        start = f"{name} "
        rest = (each.removeprefix(start) for each in found if each.startswith(start))
        made[name].words += dict.fromkeys(each.partition(" ")[0] for each in rest)
    return made


def _command(parser: Parser) -> Command:
    command = Command([], {}, {})
    for action in parser.arguments():
        values = _values(action)
        if not action.option_strings:
            command.words += values
        for option in action.option_strings:
            command.options[option] = None if action.nargs == 0 else values
            command.helps[option] = action.help or ""
    return command


def _values(action: argparse.Action) -> list[str]:
    if action.choices is not None and not isinstance(action, argparse._SubParsersAction):
        return [str(each) for each in action.choices]
    if action.dest == "key":
        return listed(KEYS)
    if action.dest == "profile":
        return [PROFILE]
    return [FILE] if action.type is Path or action.metavar in ("FILE", "DIR") else []


def script(shell: str, directory: Path) -> str:
    """Return the script that completes the executables in ``directory`` in ``shell``."""
    commands = table(directory)
    if shell == "fish":
        return _fish(commands)
    cases = "".join(_cases(name, command) for name, command in commands.items())
    names = [each.name for each in scripts(directory)]
    words = f"_tedge_words() {{\n    case $1:$2 in\n{cases}    *) return 1 ;;\n    esac\n}}\n"
    head = f"#compdef {' '.join(names)}\n" if shell == "zsh" else ""
    return head + words + (_ZSH if shell == "zsh" else _BASH) + " ".join(names) + "\n"


def _cases(name: str, command: Command) -> str:
    lines = [(f"{name}:{option}", values) for option, values in command.options.items() if values is not None]
    lines.append((f"{name}:", [*command.words, *command.options]))
    return "".join(f"    {shlex.quote(place)}) {_said(values)} ;;\n" for place, values in lines)


def _said(values: list[str]) -> str:
    if values == [PROFILE]:
        return PROFILES
    return f"printf '%s\\n' {shlex.join(['<file>'] if values == [FILE] else values)}"


def _fish(commands: dict[str, Command]) -> str:
    lines = [f"set -g __tedge_places {' '.join(map(_quoted, commands))}\n", _FISH]
    for name, command in commands.items():
        start = f"complete -c tedge -n {_quoted(f'__tedge_at {name}')}"
        if command.words:
            lines.append(f"{start} -a {_quoted(' '.join(command.words))}\n")
        for option, values in command.options.items():
            word = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            lines.append(f"{start} {word}{_fish_value(values)} -d {_quoted(command.helps[option])}\n")
    return "".join(lines)


def _fish_value(values: list[str] | None) -> str:
    if values is None:
        return ""
    if values == [FILE]:
        return " -r -F"
    return f" -x -a {_quoted(f'({PROFILES})' if values == [PROFILE] else ' '.join(values))}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
