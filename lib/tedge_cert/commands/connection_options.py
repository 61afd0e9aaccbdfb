# SPDX-License-Identifier: Apache-2.0
"""The arguments of connect, reconnect and disconnect that name a connection: a cloud and a profile."""

import argparse
import os

from tedge_cert.cli import entry
from tedge_cert.cli.arguments import Parser
from tedge_cert.commands import provider_files, root_tasks
from tedge_cert.config.keys import CLOUDS
from tedge_cert.device.instance import Instance
from tedge_cert.errors import ConfigurationError


def add_to(parser: Parser, mappers: bool = False) -> None:
    """Add the cloud and ``--profile``; with ``mappers`` an unknown cloud is a failure (1), not a misuse (2).

    It may be the name of a mapper of thin-edge, which can be connected, but not disconnected.
    """
    named = ", or c8y.<profile>" if mappers else ""
    parser.add_argument("cloud", type=str if mappers else _known, metavar="CLOUD", help=f"c8y{named}")
    entry.add_profile(parser)


def _known(text: str) -> str:
    if text not in CLOUDS:
        raise argparse.ArgumentTypeError(f"'{text}' is no cloud; expected c8y, a profile of it by --profile")
    return text


def instance_of(arguments: argparse.Namespace, known: bool = True) -> Instance:
    """Load the instance that the arguments name, its profile ``known`` or not; raises ConfigurationError."""
    cloud, _, profile = arguments.cloud.partition(".")
    if cloud != "c8y":
        name = CLOUDS.get(cloud, f"'{arguments.cloud}'")
        raise ConfigurationError(f"a connection to {name} is not supported, only to c8y (`sudo tedge connect c8y`)")
    profile = profile or arguments.profile
    if not getattr(arguments, "test", False):
        entry.need_root(arguments)
        provider_files.set_up(arguments.config_dir, profile)
    return load_with_root(arguments, cloud, profile, known)


def load_with_root(arguments: argparse.Namespace, cloud: str, profile: str, known: bool = True) -> Instance:
    """Load an instance as tedge, with a parent of root's that does root's part; that one ends here with the command."""
    if entry.is_of_system(arguments) and (code := root_tasks.serve(profile)) is not None:
        os._exit(code)
    return entry.loaded(cloud, profile, arguments.config_dir, known)
