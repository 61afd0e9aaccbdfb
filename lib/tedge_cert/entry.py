# SPDX-License-Identifier: Apache-2.0
"""The way into every executable: arguments, logging, and exceptions turned into one line and an exit code."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable

from tedge_cert import journal
from tedge_cert.errors import FAILURE, TedgeCertError
from tedge_cert.instance import Instance, load_instance


def parser(command: str, description: str | None) -> argparse.ArgumentParser:
    """A parser for ``tedge <command>`` with the options that every command has."""
    made = argparse.ArgumentParser(prog=f"tedge {command}", description=description, allow_abbrev=False)
    add_common(made)
    return made


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


def add_cloud(
    made: argparse.ArgumentParser, required: bool = False, clouds: tuple[str, ...] = ("c8y", "az", "aws")
) -> None:
    """Add the positional cloud and ``--profile``."""
    made.add_argument("cloud", nargs=None if required else "?", choices=clouds, help="the cloud")
    add_profile(made)


def add_profile(made: argparse.ArgumentParser) -> None:
    """Add ``--profile``."""
    made.add_argument(
        "--profile",
        default=os.environ.get("TEDGE_CLOUD_PROFILE", ""),
        metavar="NAME",
        help="the cloud profile (default: $TEDGE_CLOUD_PROFILE)",
    )


def instance_of(arguments: argparse.Namespace, known: bool = True) -> Instance:
    """The instance that the arguments name, its profile ``known`` or not; raises ConfigurationError."""
    return load_instance(arguments.cloud or "", arguments.profile, arguments.config_dir, known)


def parse(made: argparse.ArgumentParser, words: list[str] | None = None) -> argparse.Namespace:
    """The arguments of this process, and the log level that they ask for."""
    arguments = made.parse_args(words)
    level: int | None = arguments.log_level
    if level is None:
        level = journal.DEBUG if arguments.debug else journal.threshold_of_environment()
    journal.set_threshold(level)
    return arguments


def run(main: Callable[[], int | None]) -> None:
    """Run ``main`` and end the process: its code, or that of the error with one line that tells it.

    What nobody foresaw is a traceback and 1.
    """
    try:
        code = main() or 0
        # Here and not at the end of the process, where nobody would catch what goes wrong.
        sys.stdout.flush()
    except TedgeCertError as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        if not error.is_told:
            journal.error(str(error))
        code = error.exit_code
    except KeyboardInterrupt:
        journal.error("interrupted")
        code = 128 + 2
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILURE
    sys.exit(code)
