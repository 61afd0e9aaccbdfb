# SPDX-License-Identifier: Apache-2.0
"""Parse the command line: the options of every command, and the text of its help.

The manual pages, the completions and README's table are made from these parsers, so each text exists once.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any, NoReturn

from tedge_cert import beside, journal
from tedge_cert.errors import USAGE
from tedge_cert.terminal import wrapped

EXITS = {0: "done", 1: "it failed; one line on standard error says why", 2: "misuse of the command line"}
ENVIRONMENT = {"TEDGE_CONFIG_DIR": "as --config-dir", "TEDGE_*": "a configuration key: TEDGE_C8Y_URL for c8y.url"}


class Parser(argparse.ArgumentParser):
    """A parser for ``tedge <command>`` with the options of every command; ``exits`` are added to the usual ones.

    A command that ``needs_root`` changes files of root or of tedge (``entry.need_root``).
    """

    def __init__(
        self,
        command: str = "",
        description: str | None = None,
        *,
        exits: dict[int, str] | None = None,
        environment: dict[str, str] | None = None,
        needs_root: bool = False,
        # What argparse itself gives to the parser of a sub-command.
        **options: str | None,
    ) -> None:
        self._name = options.get("prog") or f"tedge {command}".rstrip()
        super().__init__(
            prog=beside.typed(self._name),
            description=description,
            allow_abbrev=False,
            # For checking the words of an option argparse makes a formatter each time; it need not know the terminal.
            formatter_class=partial(argparse.HelpFormatter, width=80),
        )
        self.register("action", None, _Once)
        self.register("action", "store_true", _OnceTrue)
        self.exits = dict(sorted({**EXITS, **(exits or {})}.items()))
        self.environment = {**ENVIRONMENT, **(environment or {})}
        self.needs_root = needs_root
        self.set_defaults(needs_root=self.prog if needs_root else "")
        # A number that begins with a dash is an option too; argparse would take `-1` for a value. After `--` it is one.
        self._has_negative_number_optionals.append(True)
        add_common(self, again="prog" in options)

    def format_help(self) -> str:
        """Return the help: options, then examples, exit codes and environment."""
        self.formatter_class = _Formatter
        variables = self.variables()
        examples = "".join(f"  {typed}\n      {told}\n" for typed, told in self.examples().items())
        self.epilog = f"examples:\n{examples}\n" if examples else ""
        self.epilog += f"exit codes:\n{_rows({str(code): text for code, text in self.exits.items()})}"
        self.epilog += f"\nenvironment:\n{_rows(variables)}"
        return super().format_help()

    def examples(self) -> dict[str, str]:
        """Return what a person may type, each with what it is for."""
        from tedge_cert.cli.examples import EXAMPLES

        return {beside.typed(each): told for each, told in EXAMPLES.get(self._name, {}).items()}

    def variables(self) -> dict[str, str]:
        """Return the environment variables of this command and its sub-commands, with their meaning."""
        found = dict(self.environment)
        for each in self.sub_commands().values():
            found.update(each.variables())
        return found

    def read(self, words: list[str] | None = None) -> argparse.Namespace:
        """Parse the arguments of this process, and set the log level that they ask for."""
        words = sys.argv[1:] if words is None else words
        before = words[: words.index("--")] if "--" in words else words
        # Python 3.13 would take the words after it for a command.
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

    def parse_known_args(  # type: ignore[override]  # the base class has one signature for each kind of namespace
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        """Parse as the base class does, with options between arguments too, as in ``http post URI --profile p BODY``.

        argparse of Python 3.11 (Debian 12) gives an argument that may be left out its default when an option comes.
        """
        words = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(words if self.sub_commands() else self._options_first(words), namespace)

    def _options_first(self, words: list[str]) -> list[str]:
        end = words.index("--") if "--" in words else len(words)
        options: list[str] = []
        plain: list[str] = []
        rest = iter(words[:end])
        for word in rest:
            is_option = word.startswith("-") and word != "-"
            (options if is_option else plain).append(word)
            action = self._option_string_actions.get(word)
            if action is not None and action.nargs != 0:
                if not (value := list(islice(rest, 1))):
                    # A mistake: in front, this option would take an argument for its value.
                    return words
                options += value
        return [*options, *plain, *words[end:]]

    def arguments(self) -> list[argparse.Action]:
        """Return what can be on the command line, in the order of the help."""
        return list(self._actions)

    def sub_commands(self) -> "dict[str, Parser]":
        """Return the parsers of the sub-commands by the words that are typed."""
        groups = (each for each in self._actions if isinstance(each, argparse._SubParsersAction))
        return {name: made for group in groups for name, made in group.choices.items()}

    def _known_options(self) -> list[str]:
        return [
            *self._option_string_actions,
            *(o for each in self.sub_commands().values() for o in each._known_options()),
        ]

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write help and errors in any locale: they repeat words of the command line, and its bytes may be no text."""
        if message:
            journal.write(file or sys.stderr, message)

    def error(self, message: str) -> NoReturn:
        """End with ``message`` in one line, which adds the nearest known word to an unknown one."""
        wrong = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)|unrecognized arguments: (\S+)", message)
        if wrong:
            from difflib import get_close_matches

            known = re.findall(r"[\w-]+", wrong[2]) if wrong[2] else self._known_options()
            near = get_close_matches(wrong[1] or wrong[3] or "", known, 1)
            message += f"; did you mean '{near[0]}'?" if near else ""
        journal.error(f"{message}; see `{self.prog} --help`".replace("?;", "?"))
        self.exit(USAGE)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Wrap description and tables too, each line with a hanging indent at its last column."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = super()._fill_text(text, width, indent).splitlines()
        return "\n".join(wrapped(line, _column(line)) for line in lines)


def _column(line: str) -> int:
    """Return where the second column of a row begins; in a line without columns, where the line itself begins."""
    found = re.match(r" *\S.*?  +(?=\S)", line)
    return found.end() if found else len(line) - len(line.lstrip())


class _Refusing(argparse.Action):
    """Do what the base class does once; refuse the second time."""

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
    """An option with a value that can be given once."""


class _OnceTrue(_Refusing, argparse._StoreTrueAction):
    """An option without a value that can be given once."""


def refuse_again(action: argparse.Action, namespace: argparse.Namespace, option: str | None) -> None:
    """Raise ArgumentError when an option is given twice; each sub-command has a namespace of its own."""
    given: set[str] = vars(namespace).setdefault("_given", set())
    if option and action.dest in given:
        raise argparse.ArgumentError(action, "given more than once")
    given.add(action.dest)


def add_common(made: argparse.ArgumentParser, again: bool = False) -> None:
    """Add the options of every command; with ``again`` (a sub-command) without defaults."""
    unset, level = argparse.SUPPRESS if again else None, checked(journal.level_of)
    made.add_argument("--config-dir", default=unset or "", metavar="DIR", help="configuration (default: /etc/tedge)")
    made.add_argument(
        "--debug",
        action="store_true",
        default=unset or False,
        help="show all requests and answers, and tracebacks",
    )
    made.add_argument(
        "--log-level", type=level, default=unset, metavar="LEVEL", help="least level of lines: error to trace"
    )


def checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return ``parse`` as the type of an argument, whose ValueError tells a person what was expected."""

    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error

    return read


def _rows(texts: dict[str, str]) -> str:
    width = max(len(each) for each in texts)
    return "".join(f"  {name:<{width}}  {text}\n" for name, text in texts.items())
