# SPDX-License-Identifier: Apache-2.0
"""Renewals of a connected device: CPU and wall time, the bridge's outage, and what local clients notice of it."""

import argparse
import time
from pathlib import Path

from bench import stage, units
from bench.figures import Series, ratio, side_by_side
from bench.traffic import RATE, Account, Outage, Traffic
from system.device import Device
from system.onboarding import connect
from system.renewer import SERVICE
from tenant.client import Tenant

IMPORTS = '/usr/bin/python3 -c "import cryptography.x509, requests, paho.mqtt.client"'
PEER = "bench-imports.service"
DAY_S = 86_400
IDLE_S = 2.0
"""how long the device is looked at before each renewal, for what the messages alone cost"""

UNIT, IMPORT = "CPU of the unit, confined, ms", "CPU of the imports alone, unconfined, ms"
OUTAGE, LOCAL = "outage of the bridge, s", "local disconnects, all renewals"
LOST, GROSS = "QoS 1 messages lost", "CPU of the device, ms"
NET = "of that without what the messages cost, ms"
WALL = "wall time, s"
PEAK = "peak memory of {}, MB"
STEPS = {
    "needs-renewal": "/usr/bin/tedge-cert-needs-renewal --systemd c8y",
    "renew": "/usr/bin/tedge-cert-renew --systemd c8y",
    "verify": "/usr/bin/tedge-cert-verify c8y",
    "cleanup": "/usr/bin/tedge-cert-cleanup c8y",
}
_MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=False).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
READ, SEEN = "reads the certificate", "is seen by the tenant"
_GOALS = {"unit/imports": "<= 3", OUTAGE: "<= 1.5", LOCAL: "0", LOST: "0", GROSS: "<= 450", "exposure": "<= 1.4"} | {
    PEAK.format(step): "<= 60" for step in STEPS
}


class Renewals:
    """Measures one renewal after the other on a device."""

    def __init__(self, device: Device, tenant: Tenant, rate: float = RATE, retained: int = 0) -> None:
        self._device, self._tenant, self._load = device, tenant, (rate, retained)
        self._days = 365
        self.series = {name: Series() for name in (UNIT, IMPORT, WALL, GROSS, NET)}
        self.outages: list[Outage] = []
        self.drops: list[Outage] = []
        self.accounts: list[Account] = []
        self.connections: list[float] = []

    def _make_due(self) -> None:
        """Raise the threshold above the certificate's lifetime, and what is granted next above the threshold."""
        self._tenant.settings(lifetime_s=(self._days + 2) * DAY_S)
        self._device.run(f"tedge config set certificate.validity.minimum_duration {self._days + 1}d")
        self._days += 2

    def _idle_rate(self) -> float:
        before, began = self._device.cpu_ns, time.monotonic()
        time.sleep(IDLE_S)
        return (self._device.cpu_ns - before) / 1e6 / (time.monotonic() - began)

    def renew(self) -> None:
        """Measure the peer and one renewal."""
        self._make_due()
        self.series[IMPORT].add(stage.activate(self._device, PEER))
        with Traffic(self._device, self._tenant, *self._load) as traffic:
            idle_rate = self._idle_rate()
            before, began = self._device.cpu_ns, time.monotonic()
            self.series[UNIT].add(stage.activate(self._device, SERVICE))
            wall_s, used = time.monotonic() - began, (self._device.cpu_ns - before) / 1e6
            traffic.await_outage(0)
            self.outages += traffic.outages()
            self.accounts.append(traffic.stop())
        self.series[WALL].add(wall_s)
        self.series[GROSS].add(used)
        self.series[NET].add(used - idle_rate * wall_s)

    def peaks(self) -> dict[str, str]:
        """Renew once more, step by step as user tedge; return the greatest resident size of each step."""
        self._make_due()
        found = {}
        for step, words in STEPS.items():
            command = ["/usr/bin/python3", "-c", _MEASURED, *words.split()]
            code, peak_kib = self._device.run(command, user="tedge").stdout.split()[-2:]
            if code != "0":
                raise RuntimeError(f"{words} ended with {code}")
            found[PEAK.format(step)] = f"{int(peak_kib) / 1024:.1f}"
        return found

    def drop(self, times: int) -> None:
        """Let the tenant close the connection, each time at another fraction of a second.

        The broker counts whole seconds, so its pause depends on that fraction.
        """
        with Traffic(self._device, self._tenant) as traffic:
            for number in range(times):
                time.sleep((((number + 0.5) / times) - time.monotonic()) % 1)
                self._tenant.drop(self._device.name)
                traffic.await_outage(number)
            self.drops += traffic.outages()
            self.accounts.append(traffic.stop())

    def look(self) -> None:
        """Take down when the tenant saw connections."""
        self.connections = [each["since"] for each in self._tenant.device(self._device.name)["connections"]]

    def pauses(self, outages: list[Outage]) -> dict[str, Series]:
        """Return how long after its fall the bridge began to connect, in s."""
        reads = [(each, each.read(self.connections)) for each in outages]
        read = [event.at - each.fall.at for each, event in reads if event]
        seen = [each.seen_at(self.connections) - each.fall.clock for each in outages]
        return {READ: Series(read), SEEN: Series(seen)}


def rows(renewals: Renewals, evictions: int) -> dict[str, str]:
    """Return what was measured, as rows of a column."""
    series, accounts = renewals.series, renewals.accounts
    renamed = [(each, each.replaced) for each in renewals.outages if each.replaced]
    margin = Series([replaced.at - outage.fall.at for outage, replaced in renamed])
    reads = [(each.read(renewals.connections), replaced) for each, replaced in renamed]
    early = sum(bool(read and read.at < replaced.at) for read, replaced in reads)
    found = {UNIT: series[UNIT].show(0), IMPORT: series[IMPORT].show(0)}
    found["unit/imports"] = ratio(series[UNIT], series[IMPORT])
    found |= {GROSS: series[GROSS].show(0), NET: series[NET].show(0), WALL: series[WALL].show(2)}
    found[OUTAGE] = Series([each.length_s for each in renewals.outages]).show(2)
    found[LOCAL] = str(sum(each.disconnects for each in accounts))
    found["QoS 1 messages sent"] = str(sum(each.sent for each in accounts))
    found["QoS 1 messages received"] = str(sum(each.arrived for each in accounts))
    found["QoS 1 messages received more than once"] = str(sum(each.duplicates for each in accounts))
    found[LOST] = str(sum(each.lost for each in accounts))
    found["retained messages afterwards, least"] = str(min(each.kept for each in accounts))
    found["evictions of a connection, all renewals"] = str(evictions)
    found["from the fall to the rename, s"] = margin.show(3)
    found["the bridge read the old certificate after the fall"] = f"{early} of {len(renamed)}"
    for outages, what in ((renewals.outages, "switches"), (renewals.drops, "drops by the tenant")):
        for event, pauses in renewals.pauses(outages).items():
            found[f"{what}: from the fall until the bridge {event}, least / median, s"] = pauses.least()
    return found


def bench(release: str, package: Path, arguments: argparse.Namespace) -> tuple[dict[str, str], str]:
    """Return the column of a release, and its versions."""
    with stage.staged(release, package) as (device, tenant):
        connect(device, tenant)
        device.keep_loaded(SERVICE)
        units.install(device, PEER, units.RenewerUnit.of(device).peer([IMPORTS]))
        stage.activate(device, PEER)  # only fills caches
        stage.say(f"{stage.column(release)}: {arguments.runs} renewals, {arguments.drops} drops")
        renewals = Renewals(device, tenant, arguments.rate, arguments.retained)
        for _ in range(arguments.runs):
            renewals.renew()
        evictions = int(tenant.device(device.name)["evictions"])
        if arguments.drops:
            renewals.drop(arguments.drops)
        renewals.look()
        column = rows(renewals, evictions)
        column |= renewals.peaks()
        column["exposure"] = units.exposure(device, SERVICE)
        return column, stage.versions(device)


def main() -> None:
    """Measure and print."""
    parser = stage.parser(__doc__, 5)
    parser.add_argument(
        "--drops", type=int, default=20, metavar="N", help="further falls of the bridge (default: %(default)s)"
    )
    parser.add_argument(
        "--rate", type=float, default=RATE, metavar="N", help="messages a second (default: %(default)s)"
    )
    parser.add_argument("--retained", type=int, default=0, metavar="N", help="messages that the broker retains")
    arguments = parser.parse_args()
    columns: dict[str, dict[str, str]] = {}
    notes: list[str] = []
    with stage.tidy_machine() as package:
        for release in arguments.releases:
            name = stage.column(release)
            columns[name], versions = bench(release, package, arguments)
            notes.append(f"{name}: {versions}")
    head = f"renewal: median (min to max) of {arguments.runs}, {arguments.rate:g} messages a second"
    print(side_by_side(head, columns, _GOALS), end="\n\n")
    more = (f"--{name} {getattr(arguments, name):g}" for name in ("drops", "rate", "retained"))
    again = stage.repeat("renewal", arguments, *more)
    print(stage.surroundings(), *notes, again, sep="  \n")


if __name__ == "__main__":
    main()
