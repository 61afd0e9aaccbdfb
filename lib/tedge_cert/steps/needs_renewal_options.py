# SPDX-License-Identifier: Apache-2.0
"""Parse the command line of the condition for help, mistakes and the manual; the hourly check parses its own."""

from argparse import ArgumentTypeError

from tedge_cert.cli import entry
from tedge_cert.cli.arguments import Parser, checked
from tedge_cert.config.values import parse_threshold
from tedge_cert.steps.needs_renewal import EXITS


def parser_of(description: str | None) -> Parser:
    made = Parser("cert needs-renewal", description, exits=EXITS, environment={"NO_COLOR": "no colour on a terminal"})
    entry.add_cloud(made)
    made.add_argument("--cert-path", type=_named, metavar="FILE", help="another certificate")
    # The unit has its threshold from the settings, as the step after it looks at these again.
    either = made.add_mutually_exclusive_group()
    either.add_argument(
        "--expires-in",
        type=checked(parse_threshold),
        metavar="TIME",
        help="ask with another threshold than certificate.validity.minimum_duration: whether the certificate expires "
        "within 20d, or within the last 75%% of its lifetime",
    )
    either.add_argument(
        "--systemd",
        action="store_true",
        help="answer a unit: 255 for every error, levels on the lines",
    )
    return made


def _named(text: str) -> str:
    """Refuse an empty path, which would stand for the device's certificate."""
    if not text:
        raise ArgumentTypeError("expected the name of a file")
    return text
