# SPDX-License-Identifier: Apache-2.0
"""``tedge config``: its arguments, and what it prints."""

import argparse
import sys

from tedge_cert import config as configuration
from tedge_cert import config_file
from tedge_cert.config import Config
from tedge_cert.config_keys import KEYS
from tedge_cert.entry import add_profile
from tedge_cert.errors import FAILURE, ConfigurationError, UnknownKeyError
from tedge_cert.instance import value_of
from tedge_cert.journal import error
from tedge_cert.values import to_text


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    get = commands.add_parser("get", help="print the value of a key", allow_abbrev=False)
    put = commands.add_parser("set", help="set a key", allow_abbrev=False)
    unset = commands.add_parser("unset", help="forget the value of a key", allow_abbrev=False)
    add = commands.add_parser("add", help="add a value to a list", allow_abbrev=False)
    remove = commands.add_parser("remove", help="remove a value from a list", allow_abbrev=False)
    for command in (get, put, unset, add, remove):
        command.add_argument("key", help="the key, for example c8y.url")
        add_profile(command)
    for command in (put, add, remove):
        command.add_argument("value", help="the value")
    show = commands.add_parser("list", help="print keys with their values", allow_abbrev=False)
    show.add_argument("filter", nargs="?", default="", help="only keys that contain this")
    show.add_argument("--all", action="store_true", help="those without value too")
    show.add_argument("--doc", action="store_true", help="what each key is for, and an example")
    add_profile(show)


def execute(arguments: argparse.Namespace) -> int:
    """Do what the arguments say; the exit code."""
    config = configuration.load(arguments.config_dir, arguments.profile)
    if arguments.command == "list":
        sys.stdout.write(documentation(arguments.filter) if arguments.doc else listing(config, arguments))
        return 0
    if arguments.key not in KEYS:
        raise UnknownKeyError(configuration.unknown_key(arguments.key))
    if arguments.command == "get":
        return _get(config, arguments.key)
    if arguments.command == "unset":
        config_file.unset_value(config, arguments.key)
    else:
        change = {"set": config_file.set_value, "add": config_file.add_value, "remove": config_file.remove_value}
        change[arguments.command](config, arguments.key, arguments.value)
    return 0


def _get(config: Config, key: str) -> int:
    if key.startswith("c8y.") and not config.stored(key)[1].startswith("TEDGE_"):
        configuration.need_profile(config)
    value = value_of(config, key)
    if value is None:
        error(f"'{config.full_name(key)}' is not set; `tedge config set {key} <value>` sets it")
        return FAILURE
    sys.stdout.write(to_text(value) + "\n")
    return 0


def listing(config: Config, arguments: argparse.Namespace) -> str:
    """``key=value`` lines; with ``--all`` an empty line and the keys without value."""
    rows = [(config.full_name(key), _value_text(config, key)) for key in KEYS]
    if not config.profile:
        for profile in config.profiles():
            own = configuration.load(config.directory, profile)
            rows += [(own.full_name(key), _value_text(own, key)) for key in KEYS if key.startswith("c8y.")]
    rows = [(key, value) for key, value in rows if arguments.filter in key]
    known = "".join(f"{key}={value}\n" for key, value in rows if value is not None)
    unset = "".join(f"{key}=\n" for key, value in rows if value is None)
    return known + (f"\n{unset}" if arguments.all and unset else "")


def documentation(wanted: str) -> str:
    """What each key that contains ``wanted`` is for, the keys right-aligned."""
    rows = {key: entry for key, entry in KEYS.items() if wanted in key}
    width = max((len(key) for key in rows), default=0)
    blocks = []
    for key, entry in rows.items():
        lines = [*entry.doc.split("\n"), f"Example: {entry.example}"]
        margin = "\n" + " " * (width + 2)
        blocks.append(f"{key:>{width}}  " + margin.join(lines) + "\n\n")
    return "".join(blocks)


def _value_text(config: Config, key: str) -> str | None:
    try:
        value = value_of(config, key)
    except ConfigurationError as wrong:
        error(str(wrong))
        return None
    return None if value is None else to_text(value)
