# SPDX-License-Identifier: Apache-2.0
"""Renewals beside thin-edge's packages: the outage of the link to the tenant, and what local clients notice of it.

The packages and the mapper are stand-ins (tests/stand_in), so the start of the mapper is not that of the real one.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import stage, units
from bench.figures import Series, side_by_side
from bench.renewal import DAY_S, IDLE_S
from bench.traffic import Account, Traffic
from system import thin_edge
from system.debs import BESIDE, sibling
from system.device import Device
from system.installing import install
from system.renewer import SERVICE
from tenant.client import Tenant

TOML = "/etc/tedge/tedge.toml"
RATE = 20.0
OUTAGE, LOCAL, LOST = "outage of the link, s", "local disconnects, all renewals", "QoS 1 messages lost"
BROKER = "restarts of the broker"
HOUR = "an hour with nothing to do, CPU of the unit, ms"
_GOALS = {OUTAGE: "<= 0.5 (mapper)", LOCAL: "0", LOST: "0", BROKER: "0", "exposure": "<= 1.4"}
# How thin-edge has connected the device, and where a local program publishes then.
KINDS: dict[str, tuple[Callable[[Device, Tenant], None], str]] = {
    "mapper": (thin_edge.connect_by_mapper, "c8y/s/us,te/device/main///m/bench"),
    "mosquitto": (thin_edge.connect, "c8y/s/us"),
}


class Renewals:
    """Measures one renewal after the other on a device."""

    def __init__(self, device: Device, tenant: Tenant, topics: str, rate: float) -> None:
        self._device, self._tenant, self._topics, self._rate = device, tenant, topics, rate
        self._settings = device.read(TOML)
        self._days = 365
        self.outage, self.wall, self.unit, self.gross, self.hour = (Series() for _ in range(5))
        self.accounts: list[Account] = []

    def renew(self) -> None:
        """Measure one renewal."""
        device = self._device
        self._tenant.settings(lifetime_s=(self._days + 2) * DAY_S)
        threshold = f'[certificate.validity]\nminimum_duration = "{self._days + 1}d"\n'
        device.write(TOML, f"{self._settings}{threshold}", owner="tedge:tedge")
        self._days += 2
        before = self._tenant.device(device.name)["connections"]
        with Traffic(device, self._tenant, self._rate, 0, self._topics) as traffic:
            time.sleep(IDLE_S)
            cpu, began = device.cpu_ns, time.monotonic()
            self.unit.add(stage.activate(device, SERVICE))
            self.wall.add(time.monotonic() - began)
            self.gross.add((device.cpu_ns - cpu) / 1e6)
            self._tenant.wait_connected(device.name)
            time.sleep(IDLE_S)
            self.accounts.append(traffic.stop())
        after = self._tenant.device(device.name)["connections"]
        self.outage.add(after[-1]["since"] - after[len(before) - 1]["until"])

    def rest(self, times: int) -> None:
        """Measure hours in which nothing is due."""
        self._device.write(TOML, self._settings, owner="tedge:tedge")
        for number in range(times + 1):
            used = stage.activate(self._device, SERVICE, "exec-condition")
            if number:  # the first one makes the full check of the day
                self.hour.add(used)


def bench(
    release: str, package: Path, connect: Callable[[Device, Tenant], None], topics: str, arguments: argparse.Namespace
) -> tuple[dict[str, str], str]:
    """Return the column of a release with a kind of bridge, and its versions."""
    with stage.staged(release, package, "dependencies") as (device, tenant), TemporaryDirectory() as made:
        install(device, *thin_edge.build(Path(made), agent=True))
        install(device, sibling(package, BESIDE))
        connect(device, tenant)
        device.keep_loaded(SERVICE)
        broker = device.unit("mosquitto.service", "MainPID", "NRestarts")
        renewals = Renewals(device, tenant, topics, arguments.rate)
        for _ in range(arguments.runs):
            renewals.renew()
        renewals.rest(arguments.runs * 2)
        accounts = renewals.accounts
        column = {
            OUTAGE: renewals.outage.show(2),
            "wall time, s": renewals.wall.show(2),
            LOCAL: str(sum(each.disconnects for each in accounts)),
            "QoS 1 messages sent": str(sum(each.sent for each in accounts)),
            "QoS 1 messages received": str(sum(each.received for each in accounts)),
            "QoS 1 messages received more than once": str(sum(each.duplicates for each in accounts)),
            LOST: str(sum(each.lost for each in accounts)),
            BROKER: str(int(broker != device.unit("mosquitto.service", *broker))),
            "CPU of the unit, confined, ms": renewals.unit.show(0),
            "CPU of the device, with the start of the mapper and the messages, ms": renewals.gross.show(0),
            HOUR: renewals.hour.show(0),
            "exposure": units.exposure(device, SERVICE),
        }
        return column, stage.versions(device)


def main() -> None:
    """Measure and print."""
    parser = stage.parser(__doc__, 5)
    parser.add_argument(
        "--rate", type=float, default=RATE, metavar="N", help="messages a second (default: %(default)s)"
    )
    parser.add_argument("--bridges", nargs="+", choices=list(KINDS), default=list(KINDS), help="(default: both)")
    arguments = parser.parse_args()
    columns: dict[str, dict[str, str]] = {}
    notes: list[str] = []
    with stage.tidy_machine() as package:
        for release in arguments.releases:
            for kind in arguments.bridges:
                name = f"{stage.column(release)}, bridge of {kind}"
                stage.say(f"{name}: {arguments.runs} renewals")
                columns[name], versions = bench(release, package, *KINDS[kind], arguments)
            notes.append(f"{stage.column(release)}: {versions}")
    head = f"renewal: median (min to max) of {arguments.runs}, {arguments.rate:g} messages a second"
    print(side_by_side(head, columns, _GOALS), end="\n\n")
    again = stage.repeat("beside", arguments, f"--rate {arguments.rate:g}", "--bridges", *arguments.bridges)
    print(stage.surroundings(), *notes, again, sep="  \n")


if __name__ == "__main__":
    main()
