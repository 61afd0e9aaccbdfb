# SPDX-License-Identifier: Apache-2.0
"""What a person says to register a device, on the command line, in the environment or at a prompt."""

import argparse
import getpass
import os
import sys
from pathlib import Path

from tedge_cert import journal, qr
from tedge_cert.cli.arguments import Parser
from tedge_cert.commands.download import Registration, checked_host, new_password
from tedge_cert.config.values import duration_s, split_endpoint
from tedge_cert.device.instance import Instance, checked_device_id, device_id
from tedge_cert.errors import ConfigurationError

_FALSE = ("", "0", "f", "false", "n", "no", "off")


def add_to(parser: Parser) -> None:
    """Add the options of ``tedge cert download``."""
    parser.environment |= {
        "DEVICE_ID": "as --device-id",
        "DEVICE_ONE_TIME_PASSWORD": "as --one-time-password",
        "DEVICE_NO_REGISTRATION_URL": "as --no-registration-url, unless false",
    }
    parser.add_argument(
        "--device-id",
        default=os.environ.get("DEVICE_ID", ""),
        metavar="ID",
        help="its name (default: $DEVICE_ID)",
    )
    # The password itself is no default here: help would print it.
    parser.add_argument(
        "-p",
        "--one-time-password",
        metavar="PASSWORD",
        help="as registered with the tenant; better given by $DEVICE_ONE_TIME_PASSWORD or at the prompt, because "
        "everybody on the device can read a command line",
    )
    parser.add_argument("--prompt", action="store_true", help="ask for the one-time password")
    parser.add_argument(
        "--no-registration-url",
        action="store_true",
        default=os.environ.get("DEVICE_NO_REGISTRATION_URL", "").lower() not in _FALSE,
        help="do not show where to register the device",
    )
    parser.add_argument("--csr-path", type=Path, metavar="FILE", help="a signing request made by others")
    parser.add_argument("--url", type=_host, metavar="HOST[:PORT]", help="the tenant (default: c8y.http)")
    for option, default, told in (
        ("--retry-every", 30, "between two attempts (default: 30s)"),
        ("--max-timeout", 600, "when to give up (default: 10m)"),
    ):
        parser.add_argument(option, type=_duration, default=default, metavar="DURATION", help=told)
    parser.add_argument(
        "--systemd",
        action="store_true",
        help="take all of it from the credentials of the unit, and ask once (tedge-first-boot(7))",
    )


def registration_of(arguments: argparse.Namespace, instance: Instance) -> Registration:
    """Who registers where; what was not said is asked for, or made."""
    host = checked_host(arguments.url or instance.http)
    password = arguments.one_time_password or os.environ.pop("DEVICE_ONE_TIME_PASSWORD", "")
    if arguments.prompt and password:
        raise ConfigurationError(
            "--prompt contradicts a one-time password given by --one-time-password or DEVICE_ONE_TIME_PASSWORD: "
            "leave one of them out"
        )
    identity = arguments.device_id or device_id(instance.config, "c8y.device.id") or _ask("Enter device id: ")
    identity = checked_device_id(identity)
    if arguments.prompt:
        password = getpass.getpass("Enter one-time password: ") if sys.stdin.isatty() else sys.stdin.readline().strip()
    return Registration(identity, password or new_password(), not password, host)


def announce(registration: Registration, without_address: bool) -> None:
    """Tell the operator what to give to the tenant; a password is shown only if it was made here."""
    lines = [f"Register the device on {split_endpoint(registration.host, 443)[0]}:", ""]
    lines.append(f"    device id:         {registration.device_id}")
    if registration.generated:
        lines.append(f"    one-time password: {registration.password}")
    if not without_address:
        lines += ["", "    This address registers it:", "", f"    {registration.address()}"]
        code = qr.terminal_text(registration.address())
        if code:
            lines += ["", code.rstrip("\n")]
    journal.say("\n".join([*lines, "", "Waiting for the tenant to know the device", ""]))


def next_step(instance: Instance) -> str:
    """What is to be done with the first certificate, or with that of a device that is registered again."""
    if instance.bridge_file.exists():
        return (
            "the bridge takes it when it connects anew, within half a minute; a device with another id than before "
            f"needs `tedge disconnect {instance.words}` and `tedge connect {instance.words}`"
        )
    return f"`tedge connect {instance.words}` connects it"


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise ConfigurationError("no device id: give one with --device-id or DEVICE_ID, or set device.id")
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _host(text: str) -> str:
    try:
        return checked_host(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _duration(text: str) -> int:
    try:
        return duration_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}': {error}") from error
