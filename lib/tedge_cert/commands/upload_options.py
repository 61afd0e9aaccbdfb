# SPDX-License-Identifier: Apache-2.0
"""Who uploads: a user of the tenant, named on the command line, in the environment or at a prompt."""

import argparse
import getpass
import os
import sys

from tedge_cert import journal
from tedge_cert.cli.arguments import Parser
from tedge_cert.commands.upload import Operator
from tedge_cert.errors import ConfigurationError


def add_to(parser: Parser) -> None:
    """Add the options of ``tedge cert upload``; what the environment says is no default here, as help prints those."""
    parser.environment |= {"C8Y_USER": "as --user", "C8Y_PASSWORD": "as --password"}
    parser.add_argument(
        "--user", metavar="USER", help="a user who may manage the tenant (default: $C8Y_USER, or asked)"
    )
    parser.add_argument(
        "--password",
        metavar="PASSWORD",
        help="better given by $C8Y_PASSWORD or at the prompt, because everybody on the device can read a command line",
    )


def joined(words: list[str]) -> list[str]:
    """The words of a command line, with a password that begins with a hyphen recognised as one."""
    glued: list[str] = []
    rest = iter(words)
    for word in rest:
        value = next(rest, None) if word == "--password" else None
        glued.append(word if value is None else f"{word}={value}")
    return glued


def operator_of(arguments: argparse.Namespace) -> Operator:
    """The user with the password; what nobody said is asked for. Raises ConfigurationError."""
    # Taken out of the environment, so that no child gets them.
    user, password, deprecated = (os.environ.pop(each, "") for each in ("C8Y_USER", "C8Y_PASSWORD", "C8YPASS"))
    if deprecated and not (arguments.password or password):
        journal.warning("C8YPASS is deprecated; C8Y_PASSWORD is its new name")
    user = arguments.user or user or _ask("Enter username: ", "user", "--user or C8Y_USER")
    password = arguments.password or password or deprecated
    return Operator(user, password or _ask("Enter password: ", "password", "C8Y_PASSWORD", secret=True))


def _ask(prompt: str, what: str, sources: str, secret: bool = False) -> str:
    """What a person types, or the next line of a script's input."""
    if secret and sys.stdin.isatty():
        given = getpass.getpass(prompt)
    else:
        if sys.stdin.isatty():
            sys.stderr.write(prompt)
            sys.stderr.flush()
        given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise ConfigurationError(f"no {what} for the tenant: give one with {sources}, or at the prompt")
    return given
