# SPDX-License-Identifier: Apache-2.0
"""``tedge config``: read and change the settings; a key may name its profile."""

import argparse
import os
import sys
from itertools import groupby

from tedge_cert import journal, terminal
from tedge_cert.cli.arguments import Parser
from tedge_cert.cli.entry import act_as_tedge, add_profile, is_of_system, warn_of_unknown, with_sudo
from tedge_cert.config import settings as configuration
from tedge_cert.config.keys import find
from tedge_cert.config.keys.table import KEYS, is_named, listed, nearest, present_name
from tedge_cert.config.settings import Config, cloud_of
from tedge_cert.config.values import to_text
from tedge_cert.device.instance import value_of
from tedge_cert.errors import ConfigurationError, TedgeCertError

# What OpenSSL's configuration for tokens is made from.
_OF_TOKEN = ("device.cryptoki.", "device.key_", "c8y.device.key_")


def add_to(parser: Parser) -> None:
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    get = commands.add_parser("get", help="print the value of a key")
    put = commands.add_parser("set", help="set a key")
    unset = commands.add_parser("unset", help="remove the value of a key")
    add = commands.add_parser("add", help="add a value to a list")
    remove = commands.add_parser("remove", help="remove a value from a list")
    for command in (get, put, unset, add, remove):
        command.add_argument("key", help="the key, for example c8y.url")
    for command in (put, add, remove):
        command.add_argument("value", help="the value")
    show = commands.add_parser("list", help="print keys with their values")
    show.add_argument("filter", nargs="?", default="", help="only keys that contain this")
    show.add_argument("--all", action="store_true", help="also keys without a value")
    show.add_argument("--doc", action="store_true", help="describe each key, with an example")
    commands.add_parser("upgrade", help="move the settings of each cloud to a file below mappers, as thin-edge 2.x")
    for command in (get, put, unset, add, remove, show):
        add_profile(command)
        # Keep the option apart from the environment: an option has to fit the key, the environment may not.
        command.set_defaults(profile=None)


def execute(arguments: argparse.Namespace) -> int:
    """Run the sub-command and return the exit code.

    Root changes ``tedge.toml``, its own file, and reads nothing else; what only reads runs as tedge.
    """
    if arguments.command in ("get", "list"):
        act_as_tedge(arguments)
    elif is_of_system(arguments) and os.geteuid() != 0 and not os.access(configuration.SYSTEM_DIRECTORY, os.W_OK):
        raise ConfigurationError(f"this needs root: {with_sudo(['tedge', 'config', *sys.argv[1:]])}")
    if arguments.command == "list":
        config = configuration.load(arguments.config_dir, arguments.profile or "")
        warn_of_unknown(config)
        doc = arguments.doc
        shown = documentation(arguments.filter) if doc else listing(config, arguments.filter, arguments.all)
        terminal.out(shown)
        if not shown:
            journal.info(_nothing_listed(arguments.filter))
        return 0
    if arguments.command == "upgrade":
        return _upgrade(configuration.load(arguments.config_dir))
    key, profile = _place(arguments.key, arguments.profile)
    config = configuration.load(arguments.config_dir, profile)
    warn_of_unknown(config)
    if arguments.command == "get":
        return _get(config, key)
    from tedge_cert.config import edit  # scripts ask in loops: what only reads loads nothing that writes

    with edit.alone(config):
        # Read again: another command may have moved the settings while this one waited.
        config = configuration.load(arguments.config_dir, profile)
        if arguments.command in ("add", "remove"):
            configuration.need_profile(config, cloud_of(key))
        if arguments.command == "unset":
            edit.unset_value(config, key)
        else:
            change = {"set": edit.set_value, "add": edit.add_value, "remove": edit.remove_value}
            change[arguments.command](config, key, arguments.value)
        edit.make_main_file(config)
    if key.startswith(_OF_TOKEN):
        _set_up_openssl(arguments.config_dir, profile)
    act_as_tedge(arguments)
    from tedge_cert.commands import config_notes  # scripts ask in loops: what only reads loads nothing of keys

    config_notes.say(arguments.config_dir, profile, key, arguments.value if arguments.command == "set" else "")
    return 0


def _set_up_openssl(directory: str, profile: str) -> None:
    """Let OpenSSL use the token that the settings name now, or no token any more."""
    from tedge_cert.commands import provider_files

    try:
        provider_files.update_openssl(configuration.load(directory, profile))
    except ConfigurationError as error:
        # One setting comes after the other.
        journal.debug(str(error))
    except TedgeCertError as error:
        journal.warning(str(error))


def _upgrade(config: Config) -> int:
    from tedge_cert.config import edit, upgrade

    with edit.alone(config):
        config = configuration.load(config.directory)
        warn_of_unknown(config)
        moved = upgrade.upgrade(config)
    if moved is None:
        journal.info(f"nothing to move: {config.file} has no settings of a cloud")
        return 0
    journal.info(f"moved the settings of {', '.join(moved.clouds)} from {config.file} to {config.directory}/mappers")
    for each in moved.replaced:
        journal.warning(f"{each.with_suffix('')} had other settings, which are kept as {each}")
    journal.info(f"{moved.backup} is the file as it was: remove it when everything works")
    return 0


def _nothing_listed(wanted: str) -> str:
    """Say why a listing is empty."""
    if any(wanted in each for each in KEYS):
        import shlex

        return f"no key with '{wanted}' has a value; `tedge config list --all {shlex.quote(wanted)}` shows all keys"
    return f"no key contains '{wanted}'{nearest(wanted)} (`tedge config list --all` shows all keys)"


def _place(asked: str, option: str | None) -> tuple[str, str]:
    """Return the key and the profile that the command line means; raises UnknownKeyError or ConfigurationError."""
    name, named = asked, ""
    parts = asked.split(".")
    if cloud_of(asked) and parts[1:2] == ["profiles"] and len(parts) > 3:
        name, named = ".".join([parts[0], *parts[3:]]), parts[2]
    name = _present_name(name)
    if option and (named or not cloud_of(name)):
        what = f"'{asked}' names a profile itself" if named else f"'{asked}' is the same for all profiles"
        raise ConfigurationError(f"{what}; leave out --profile {option}")
    if not cloud_of(name):
        return name, ""
    return name, named or option or os.environ.get("TEDGE_CLOUD_PROFILE", "")


def _present_name(name: str) -> str:
    """Return the present name of a key; raises UnknownKeyError if there is no such key."""
    present = present_name(name) or name
    find(present)
    if present != name:
        journal.warning(f"'{name}' is called '{present}' now")
    return present


def _get(config: Config, key: str) -> int:
    configuration.need_profile(config, cloud_of(key))
    # If another part of the configuration is broken, a script that reads this key must stop.
    config.check()
    value = value_of(config, key)
    if value is None:
        raise ConfigurationError(f"'{config.full_name(key)}' is not set; `sudo tedge config set {key} <value>` sets it")
    terminal.out(to_text(value) + "\n")
    return 0


def listing(config: Config, wanted: str, with_unset: bool) -> str:
    """Return ``key=value`` lines of the keys that contain ``wanted``; ``with_unset`` adds those without a value."""
    rows: list[tuple[str, str | None]] = []
    for own, name in _places(config):
        # Read each key, listed or not, so that an error anywhere is reported before anything is printed.
        stored, _ = own.stored(name)
        full = own.full_name(name)
        if wanted in full and (stored is not None or is_named(name, wanted)):
            # thin-edge has no such keys; the value for all profiles stands at est.* already.
            is_taken_over = name.startswith("c8y.est.") and stored is None
            rows.append((full, None if is_taken_over else _text(own, name)))
    known = "".join(f"{name}={value}\n" for name, value in rows if value is not None)
    unset = "".join(f"{name}=\n" for name, value in rows if value is None)
    return known + (f"\n{unset}" if with_unset and unset else "")


def documentation(wanted: str) -> str:
    """Describe each key that contains ``wanted``, the keys right-aligned."""
    rows = {key: entry for key, entry in KEYS.items() if wanted in key and is_named(key, wanted)}
    width = max((len(key) for key in rows), default=0)
    blocks = []
    for key, entry in rows.items():
        lines = [*entry.doc.split("\n"), f"Example: {entry.example}"]
        margin = "\n" + " " * (width + 2)
        blocks.append(f"{key:>{width}}  " + margin.join(lines) + "\n\n")
    return "".join(blocks)


def _places(config: Config) -> list[tuple[Config, str]]:
    """Return every key in the order of the list, those of a cloud again for each of its profiles."""
    found: list[tuple[Config, str]] = []
    # The list has the keys of a cloud one after the other.
    for cloud, keys in groupby(listed(KEYS), cloud_of):
        own = list(keys)
        profiles = config.profiles(cloud) if cloud and not config.profile else []
        configs = [config, *map(config.of_profile, profiles)]
        found += [(each, key) for each in configs for key in own]
    return found


def _text(config: Config, name: str) -> str | None:
    try:
        value = value_of(config, name)
    except ConfigurationError:
        return None
    return None if value is None else to_text(value)
