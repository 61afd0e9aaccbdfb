# SPDX-License-Identifier: Apache-2.0
"""The options of ``tedge cert renew``."""

from pathlib import Path

from tedge_cert.cli import entry
from tedge_cert.cli.arguments import Parser


def add_to(made: Parser) -> None:
    either = made.add_mutually_exclusive_group()
    either.add_argument("--csr-path", type=Path, metavar="FILE", help="another signing request, for c8y and est")
    either.add_argument("--new-key", action="store_true", help="with a new private key, as certificate.rotate_key asks")
    entry.add_authority(made, "c8y", "est", "self-signed")
    made.add_argument("--dry-run", action="store_true", help="check all that the request needs, and send none")
    made.add_argument("--systemd", action="store_true", help="only when a new certificate is needed")
