# SPDX-License-Identifier: Apache-2.0
"""What every command line has, and what is told of a command beside its options.

Help, the manual pages, the completion and README's table are made from these parsers, so that a text exists once.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from tedge_cert import journal

EXITS = {0: "done", 1: "it failed; one line on standard error tells why", 2: "misuse of the command line"}
ENVIRONMENT = {"TEDGE_CONFIG_DIR": "as --config-dir", "TEDGE_*": "a configuration key: TEDGE_C8Y_URL for c8y.url"}


class Parser(argparse.ArgumentParser):
    """A parser for ``tedge <command>`` with the options that every command has; ``exits`` besides the usual ones."""

    def __init__(
        self,
        command: str = "",
        description: str | None = None,
        *,
        exits: dict[int, str] | None = None,
        environment: dict[str, str] | None = None,
        # What argparse itself gives to the parser of a sub-command.
        **options: str | None,
    ) -> None:
        super().__init__(
            prog=options.get("prog") or f"tedge {command}".rstrip(),
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.register("action", None, _Once)
        self.register("action", "store_true", _OnceTrue)
        # A word that begins with a dash is an option, a number too; behind `--` it is none.
        self._negative_number_matcher = re.compile(r"(?!)")
        self.exits = dict(sorted({**EXITS, **(exits or {})}.items()))
        self.environment = {**ENVIRONMENT, **(environment or {})}
        # No option of ours looks like a number, and argparse would take `-1` for a value then.
        self._has_negative_number_optionals.append(True)
        add_common(self, again="prog" in options)

    def format_help(self) -> str:
        """Options, then exit codes and environment."""
        variables = self.variables()
        self.epilog = f"exit codes:\n{_rows({str(code): text for code, text in self.exits.items()})}"
        self.epilog += f"\nenvironment:\n{_rows(variables)}"
        return super().format_help()

    def variables(self) -> dict[str, str]:
        """What the environment says to this command and its sub-commands."""
        found = dict(self.environment)
        for each in self.sub_commands().values():
            found.update(each.variables())
        return found

    def read(self, words: list[str] | None = None) -> argparse.Namespace:
        """The arguments of this process, and the log level that they ask for."""
        words = sys.argv[1:] if words is None else words
        before = words[: words.index("--")] if "--" in words else words
        # Python 3.13 would take what stands behind for a command.
        if before != words and self.sub_commands() and not self.sub_commands().keys() & set(before):
            self.error("a command is expected before '--'")
        arguments = self.parse_args(words)
        if getattr(arguments, "profile_by_option", False) and getattr(arguments, "cloud", "") is None:
            self.error("--profile is that of a cloud: name it too, as in `c8y --profile NAME`")
        level: int | None = arguments.log_level
        if level is None:
            level = journal.DEBUG if arguments.debug else journal.threshold_of_environment()
        journal.set_threshold(level)
        return arguments

    def arguments(self) -> list[argparse.Action]:
        """What can stand on the command line, in the order of help."""
        return list(self._actions)

    def sub_commands(self) -> "dict[str, Parser]":
        """The parsers of the sub-commands by the words that are typed."""
        groups = (each for each in self._actions if isinstance(each, argparse._SubParsersAction))
        return {name: made for group in groups for name, made in group.choices.items()}

    def _known_options(self) -> list[str]:
        return [
            *self._option_string_actions,
            *(o for each in self.sub_commands().values() for o in each._known_options()),
        ]

    def error(self, message: str) -> NoReturn:
        """Name the nearest known word beside one that is not known."""
        wrong = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)|unrecognized arguments: (\S+)", message)
        if wrong:
            known = re.findall(r"[\w-]+", wrong[2]) if wrong[2] else self._known_options()
            near = get_close_matches(wrong[1] or wrong[3] or "", known, 1)
            message += f"; did you mean '{near[0]}'?" if near else ""
        super().error(message)


class _Refusing(argparse.Action):
    """What an option does the first time; the second is refused."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        refuse_again(self, namespace, option_string)
        super().__call__(parser, namespace, values, option_string)


class _Once(_Refusing, argparse._StoreAction):
    """An option with a value that is refused when it comes again."""


class _OnceTrue(_Refusing, argparse._StoreTrueAction):
    """The same without a value."""


def refuse_again(action: argparse.Action, namespace: argparse.Namespace, option: str | None) -> None:
    """Raise ArgumentError for a second time; what was given is noted in the namespace, which each sub-command has."""
    given: set[str] = vars(namespace).setdefault("_given", set())
    if option and action.dest in given:
        raise argparse.ArgumentError(action, "given more than once")
    given.add(action.dest)


def add_common(made: argparse.ArgumentParser, again: bool = False) -> None:
    """Add the options that stand anywhere on the command line; ``again`` for a sub-command, which has no defaults."""
    unset = argparse.SUPPRESS if again else None
    made.add_argument("--config-dir", default=unset or "", metavar="DIR", help="configuration (default: /etc/tedge)")
    made.add_argument("--debug", action="store_true", default=unset or False, help="say more, and show tracebacks")
    made.add_argument(
        "--log-level", type=_level, default=unset, metavar="LEVEL", help="least level of lines: error to trace"
    )


def _level(name: str) -> int:
    try:
        return journal.level_of(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _rows(texts: dict[str, str]) -> str:
    width = max(len(each) for each in texts)
    return "".join(f"  {name:<{width}}  {text}\n" for name, text in texts.items())
