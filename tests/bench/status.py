# SPDX-License-Identifier: Apache-2.0
"""How long `tedge cert status` takes on a connected device, from its start to its end."""

from pathlib import Path

from bench import stage
from bench.figures import Series, side_by_side
from system.device import Device
from system.onboarding import connect
from system.renewer import start

# Measured on the device itself: the way into its namespaces takes longer than some commands.
_REPEATED = """
import subprocess, sys, time
for _ in range(int(sys.argv[1])):
    began = time.monotonic()
    subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL, check=True)
    print((time.monotonic() - began) * 1000)
"""
_MEASURED = {
    "the screen, asked for by root, ms": ("tedge-cert-status",),
    "the screen, asked for by user `nobody`, ms": ("runuser", "-u", "nobody", "--", "tedge-cert-status"),
    "--json, ms": ("tedge-cert-status", "--json"),
    "--prometheus, ms": ("tedge-cert-status", "--prometheus"),
    "tedge cert status, ms": ("tedge", "cert", "status"),
    "a bare interpreter, ms": ("/usr/bin/python3", "-c", "pass"),
}
_GOALS = dict.fromkeys((name for name in _MEASURED if not name.startswith("a bare")), "< 300")


def measure(device: Device, command: tuple[str, ...], runs: int) -> Series:
    """How long the command takes, in ms, after one run that is not counted."""
    words = ["/usr/bin/python3", "-c", _REPEATED, str(runs + 1), *command]
    return Series([float(line) for line in device.run(words, timeout_s=300).stdout.split()[1:]])


def release_column(release: str, package: Path, runs: int) -> dict[str, str]:
    """All figures of a release."""
    with stage.staged(release, package) as (device, tenant):
        connect(device, tenant)
        # So that the journal has something to look through.
        start(device)
        stage.say(f"{release}: {stage.versions(device)}")
        return {name: measure(device, command, runs).show(0) for name, command in _MEASURED.items()}


def main() -> None:
    """Measure and print a table."""
    arguments = stage.parser(__doc__, 30).parse_args()
    with stage.tidy_machine() as package:
        columns = {
            stage.column(release): release_column(release, package, arguments.runs) for release in arguments.releases
        }
    print(f"\n{stage.surroundings()}\n")
    print(side_by_side("`tedge cert status`, wall clock", columns, _GOALS))
    print(f"\n{stage.repeat('status', arguments)}")


if __name__ == "__main__":
    main()
