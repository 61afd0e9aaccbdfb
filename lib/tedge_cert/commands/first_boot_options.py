# SPDX-License-Identifier: Apache-2.0
"""The option of the two steps of the first boot."""

from tedge_cert.cli.arguments import Parser


def add_to(made: Parser) -> None:
    """Add the option; the unit sets it by ``REGISTER_WITH_CA``."""
    made.add_argument("--ca", choices=("c8y", "est"), default="c8y", help="who signs (default: c8y)")
