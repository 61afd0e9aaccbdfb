# SPDX-License-Identifier: Apache-2.0
"""One renewal, told from the beginning: on a booted Debian, or without systemd where none can be booted."""

import argparse
import sys
from pathlib import Path

from demo import booted, local, screens
from system import machine


def main() -> int:
    """Tell the story in the way that this machine allows."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--release", default="trixie", choices=("bookworm", "trixie"), help="the Debian to boot")
    parser.add_argument("--local", action="store_true", help="without systemd, as where nothing can be booted")
    parser.add_argument("--shell", action="store_true", help="boot and connect a device, and open a root shell in it")
    parser.add_argument("--screens", metavar="FILE", type=Path, help="write the screens of a run into this page")
    arguments = parser.parse_args()
    if arguments.screens:
        screens.write(arguments.screens, arguments.release)
        return 0
    if arguments.shell:
        reason = machine.missing()
        if reason is not None:
            parser.error(reason)
        booted.shell(arguments.release)
        return 0
    reason = "asked for by --local" if arguments.local else machine.missing()
    if reason is None:
        booted.tell(arguments.release)
        return 0
    sys.stdout.write(f"Left out: a booted Debian with the package and its units ({reason}).\n")
    sys.stdout.write("The same renewal follows without systemd, the steps as cron runs them.\n")
    local.tell()
    return 0


if __name__ == "__main__":
    sys.exit(main())
