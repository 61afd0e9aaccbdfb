# SPDX-License-Identifier: Apache-2.0
"""Renewals beside thin-edge's packages: the outage of the link to the tenant, what local clients notice, and the CPU.

The packages and the mapper are stand-ins (tests/stand_in). Where TEDGE_BENCH_THIN_EDGE names a directory with real
packages of thin-edge (tedge, tedge-mapper and tedge-agent as .deb), ours is measured beside these too, and in the same
run thin-edge's own unit. Only these tell the CPU that a renewal costs by each.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import stage, units
from bench.beside_renewals import MOMENTS, Measured, Renewals, hours
from bench.figures import Series, ratio, side_by_side
from bench.traffic import SMARTREST, TELEMETRY
from system import onboarding, thin_edge
from system.debs import BESIDE, sibling
from system.device import Device
from system.installing import install
from system.renewer import SERVICE
from tenant.client import Tenant

VARIABLE = "TEDGE_BENCH_THIN_EDGE"
RATE = 20.0
MESSAGES = 500
"""sent on each topic in all renewals together, at least"""

# The unit of thin-edge's package without our drop-in, and once more confined as ours.
OWN, CONFINED_OWN = "bench-thin-edge@c8y.service", "bench-confined-thin-edge@c8y.service"

OUTAGE, LOCAL, BROKER = "outage of the link, s", "local disconnects, all renewals", "renewals that restarted the broker"
SENT, LOST = "QoS 1 messages sent on {}", "QoS 1 messages lost on {}"
DEVICE = "CPU of the device, without what the messages cost, ms"
CPU = "CPU of the device, ours / thin-edge's own renewal"
HOUR, ALONE = "an hour with nothing to do, CPU of the unit, ms", "the same where ours is installed alone, ms"
OF_ALONE, CONFINED_HOUR = "hour beside/alone", "thin-edge's own hour, confined as ours, ms"
_GOALS = {
    OUTAGE: "<= 0.5 (mapper)",
    LOCAL: "0",
    BROKER: "0",
    CPU: "<= 0.6",
    OF_ALONE: "1.0",
    "exposure": "<= 1.4",
    **{SENT.format(each): f">= {MESSAGES}" for each in (SMARTREST, TELEMETRY)},
    **{LOST.format(each): "0" for each in (SMARTREST, TELEMETRY)},
}


@dataclass(frozen=True)
class Kind:
    """A way in which thin-edge has connected a device."""

    head: str
    connect: Callable[[Device, Tenant], None]
    topics: tuple[str, ...] = (SMARTREST, TELEMETRY)
    token_port: int = 0
    """where the tenant gives tokens by mutual TLS, by which a certificate is proved without a fall of the link"""
    has_mapper: bool = True
    is_real: bool = False


KINDS = {
    "mapper": Kind("bridge of mapper", thin_edge.connect_by_mapper, token_port=stage.TOKEN_PORT),
    "mapper-by-mqtt": Kind("bridge of mapper, proof by MQTT", thin_edge.connect_by_mapper),
    # The stand-in converts nothing there.
    "mosquitto": Kind("bridge of mosquitto", thin_edge.connect, (SMARTREST,), has_mapper=False),
    "thin-edge": Kind("thin-edge {}", onboarding.connect, token_port=stage.TOKEN_PORT, is_real=True),
    "thin-edge-by-mqtt": Kind("thin-edge {}, proof by MQTT", onboarding.connect, is_real=True),
}


def real_packages() -> list[Path]:
    """Return the packages of thin-edge that the environment names."""
    directory = os.environ.get(VARIABLE)
    return sorted(Path(directory).glob("tedge*.deb")) if directory else []


def packages_of(kind: Kind, directory: Path) -> list[Path]:
    """Return the packages of thin-edge for a device; stand-ins are built in a directory."""
    return real_packages() if kind.is_real else thin_edge.build(directory, agent=True)


def install_own_units(device: Device, alone: Device) -> None:
    """Install thin-edge's unit under other names, for which our drop-in is not; its lines are those of the package."""
    text = device.read(device.unit(SERVICE, "FragmentPath")["FragmentPath"])
    units.install(device, OWN, text)
    units.install(device, CONFINED_OWN, text, units.RenewerUnit.of(alone).confine())


def rows(measured: Measured, topics: tuple[str, ...]) -> dict[str, str]:
    """Return what the renewals by a unit took, as rows of a column."""
    accounts = measured.accounts
    found = {OUTAGE: measured.outage_s.show(2), "wall time, s": measured.wall_s.show(2)}
    found[LOCAL] = str(sum(each.disconnects for each in accounts))
    found |= {SENT.format(topic): str(sum(each.numbers for each in accounts)) for topic in topics}
    found |= {LOST.format(topic): str(sum(each.lost_on(topic) for each in accounts)) for topic in topics}
    found["QoS 1 messages received more than once"] = str(sum(each.duplicates for each in accounts))
    found[BROKER] = str(measured.broker_restarts)
    found["CPU of the unit, ms"] = measured.unit_ms.show(0)
    found[DEVICE] = measured.device_ms.show(0)
    return found


def moments(measured: Measured) -> dict[str, str]:
    """Return when what follows the rename of the certificate happens, as rows."""
    found = {f"after the rename, s: {name}": measured.moments_s[name].show(2) for name in MOMENTS}
    found["from the new process of the mapper until its link is up, s"] = measured.start_s.show(2)
    return found


def bench(
    kind: Kind, alone: Device, release: str, package: Path, arguments: argparse.Namespace
) -> tuple[dict[str, dict[str, str]], str]:
    """Return the columns of a release with a way of connecting, and its versions."""
    with (
        stage.staged(release, package, "dependencies", kind.token_port) as (device, tenant),
        TemporaryDirectory() as made,
    ):
        install(device, *packages_of(kind, Path(made)))
        install(device, sibling(package, BESIDE))
        kind.connect(device, tenant)
        device.keep_loaded(SERVICE)
        least_s = MESSAGES / arguments.runs / arguments.rate
        renewals = Renewals(device, tenant, kind.topics, arguments.rate, least_s, kind.has_mapper)
        ours, own = Measured(), Measured()
        if kind.is_real:
            install_own_units(device, alone)
        for _ in range(arguments.runs):
            renewals.renew(SERVICE, ours)
            if kind.is_real:
                renewals.renew(OWN, own)
        renewals.rest()
        compared = {HOUR: (device, SERVICE), ALONE: (alone, SERVICE)}
        if kind.is_real:
            compared |= {OWN: (device, OWN), CONFINED_HOUR: (device, CONFINED_OWN)}
        column = rows(ours, kind.topics)
        if kind.is_real:
            column[CPU] = ratio(ours.device_ms, own.device_ms)
        elif not real_packages():
            column[CPU] = "left out"
        column |= moments(ours) if kind.has_mapper else {}
        name = kind.head.format(device.run("dpkg-query -Wf '${Version}' tedge").stdout)
        head = f"{stage.column(release)}, {name}"
        columns = {head: column}
        measured = hours(compared, arguments.runs * 2)
        column |= hour_rows(measured)
        column["exposure"] = units.exposure(device, SERVICE)
        if kind.is_real:
            columns[f"{head}: its own renewal"] = rows(own, kind.topics) | {HOUR: measured[OWN].show(0)}
        return columns, stage.versions(device)


def hour_rows(measured: dict[str, Series]) -> dict[str, str]:
    """Return what hours cost, as rows; thin-edge's own one is in its own column."""
    found = {name: series.show(0) for name, series in measured.items() if name != OWN}
    return found | {OF_ALONE: ratio(measured[HOUR], measured[ALONE])}


def main() -> None:
    """Measure and print."""
    parser = stage.parser(__doc__, 5)
    parser.add_argument(
        "--rate", type=float, default=RATE, metavar="N", help="messages a second on each topic (default: %(default)s)"
    )
    parser.add_argument("--bridges", nargs="+", choices=list(KINDS), default=list(KINDS), help="(default: all)")
    arguments = parser.parse_args()
    names = [each for each in arguments.bridges if real_packages() or not KINDS[each].is_real]
    if not names:
        parser.error(f"{VARIABLE} has to name a directory with packages of thin-edge")
    columns: dict[str, dict[str, str]] = {}
    notes: list[str] = []
    with stage.tidy_machine() as package:
        for release in arguments.releases:
            with stage.staged(release, package) as (alone, its_tenant):
                onboarding.connect(alone, its_tenant)
                alone.keep_loaded(SERVICE)
                for name in names:
                    stage.say(f"{stage.column(release)}, {name}: {arguments.runs} renewals")
                    found, versions = bench(KINDS[name], alone, release, package, arguments)
                    columns |= found
            notes.append(f"{stage.column(release)}: {versions}")
    notes.append(
        "Thin-edge's own mapper drops what it takes from the broker on te/# before all of it has started, and may end "
        "before it has passed on what it took: after any restart, its own renewal included."
        if real_packages()
        else f"Left out: thin-edge's own renewal, because {VARIABLE} names no directory with its packages."
    )
    head = f"renewal: median (min to max) of {arguments.runs}, {arguments.rate:g} messages a second on each topic"
    print(side_by_side(head, columns, _GOALS), end="\n\n")
    again = stage.repeat("beside", arguments, f"--rate {arguments.rate:g}", "--bridges", *names)
    print(stage.surroundings(), *notes, again, sep="  \n")


if __name__ == "__main__":
    main()
