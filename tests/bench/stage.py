# SPDX-License-Identifier: Apache-2.0
"""What both benches begin with: options, devices and their tenant, a word about the machine."""

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from system import machine, slots, trees
from system import package as packages
from system.device import Device
from system.devices import Devices, Layer
from system.onboarding import TENANT, introduce
from tenant.client import Tenant

TOKEN_PORT = 8443
_VERSIONS = """
/usr/bin/python3 -c 'import platform; print("Python", platform.python_version())'
systemctl --version | head -n 1
dpkg-query --show --showformat '${Package} ${Version}\n' mosquitto python3-cryptography python3-paho-mqtt
"""


class UnexpectedResultError(Exception):
    """A unit did not end as the measurement takes for granted."""


def parser(description: str | None, runs: int) -> argparse.ArgumentParser:
    """Return a parser with the options of every bench."""
    made = argparse.ArgumentParser(description=description, allow_abbrev=False)
    made.add_argument("--runs", type=int, default=runs, metavar="N", help="measurements of each (default: %(default)s)")
    supported = list(trees.RELEASES)
    made.add_argument("--releases", nargs="+", choices=list(trees.NAMES), default=supported, help="(default: both)")
    return made


def say(line: str) -> None:
    """Tell on stderr how far it is; stdout holds the result alone."""
    print(f"[bench] {line}", file=sys.stderr, flush=True)


@contextmanager
def tidy_machine() -> Iterator[Path]:
    """Give the package of the checkout, on a machine that can boot devices and is rid of what killed runs left."""
    reason = machine.missing()
    if reason is not None:
        sys.exit(reason)
    slots.sweep()
    yield packages.build()


@contextmanager
def staged(
    release: str, package: Path, layer: Layer = "installed", token_port: int = 0
) -> Iterator[tuple[Device, Tenant]]:
    """Give a booted device that knows and trusts a tenant; nothing is configured.

    With `TOKEN_PORT` the tenant gives tokens by mutual TLS where ours asks for them, and so where it proves a
    certificate.
    """
    devices = Devices(release, lambda: package)
    with TemporaryDirectory(prefix="bench-tenant-") as directory:
        try:
            device = devices.make(layer, all_of_debian=True)
            address = device.network.host
            with Tenant.start(Path(directory), [TENANT, address], address, token_port=token_port) as tenant:
                introduce(device, tenant, address)
                device.boot()
                device.systemctl("is-system-running", "--wait", check=False)
                yield device, tenant
        finally:
            devices.end()


def activate(device: Device, unit: str, result: str = "success") -> float:
    """Start a service that ends by itself; return its CPU time in ms."""
    device.systemctl("start", unit, check=False, timeout_s=700)
    facts = device.unit(unit, "CPUUsageNSec", "Result")
    if facts["Result"] != result:
        lines = "\n".join(entry.message for entry in device.journal(unit)[-10:])
        raise UnexpectedResultError(f"{unit}: {facts['Result']} instead of {result}\n{lines}")
    return int(facts["CPUUsageNSec"]) / 1e6


def column(release: str) -> str:
    """Return the head of a release's column."""
    return trees.NAMES[release].replace("debian", "Debian ")


def versions(device: Device) -> str:
    """Return the versions that matter on a device, in one line."""
    return ", ".join(" ".join(line.split()[:2]) for line in device.run(_VERSIONS).stdout.splitlines())


def surroundings() -> str:
    """Return a line about this machine, and how busy it is with other work."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = f" ({cpu[0].partition(':')[2].strip()})" if cpu else ""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    state = machine.command(["git", "describe", "--always", "--dirty"], cwd=packages.CHECKOUT).strip()
    return f"{os.cpu_count()} cores{name}, Linux {platform.release()}, load {load}; checkout {state}"


def repeat(bench: str, arguments: argparse.Namespace, *more: str) -> str:
    """Return how the same is measured again."""
    options = ["--runs", str(arguments.runs), "--releases", *arguments.releases, *more]
    return f"Repeat, as root: `PYTHONPATH=tests python3 -m bench.{bench} {' '.join(options)}`"
