# SPDX-License-Identifier: Apache-2.0
"""What each directive of the confinement costs: without it, and it alone."""

from bench import stage, units
from bench.figures import Series, table
from system.device import Device

RUNS = 9
ALL, NONE = "bench-all.service", "bench-none.service"


def _variants(device: Device, renewer: units.RenewerUnit, command: str) -> dict[str, tuple[str, str]]:
    """Install two units for each directive; return their names: all but it, it alone."""
    found: dict[str, tuple[str, str]] = {}
    units.install(device, ALL, renewer.peer([command], renewer.confinement))
    units.install(device, NONE, renewer.peer([command]))
    for name in renewer.confined_by:
        others = [each for each in renewer.confinement if each[0] != name]
        alone = [each for each in renewer.confinement if each[0] == name]
        pair = (f"bench-without-{name}.service", f"bench-only-{name}.service")
        units.install(device, pair[0], renewer.peer([command], others))
        units.install(device, pair[1], renewer.peer([command], alone))
        found[name] = pair
    return found


def costs(device: Device, renewer: units.RenewerUnit, command: str) -> str:
    """Return a table: what one process saves without the directive, what it pays for it alone, and the exposure."""
    variants = _variants(device, renewer, command)
    wanted = [ALL, NONE, *(unit for pair in variants.values() for unit in pair)]
    stage.say(f"{RUNS} rounds of {len(wanted)} units")
    series = {unit: Series() for unit in wanted}
    for number in range(RUNS + 1):
        for unit in wanted:
            used = stage.activate(device, unit)
            if number:  # the first round only fills caches
                series[unit].add(used)
    whole, nothing = series[ALL].median, series[NONE].median
    rows = [
        [
            name,
            f"{whole - series[without].median:+.1f}",
            f"{series[only].median - nothing:+.1f}",
            units.exposure(device, without),
        ]
        for name, (without, only) in variants.items()
    ]
    rows.sort(key=lambda row: -float(row[1]))
    head = ["directive", "saved without it, ms", "cost of it alone, ms", "exposure without it"]
    ends = [["(all)", series[ALL].show(), "", units.exposure(device, ALL)], ["(none)", series[NONE].show(), "", ""]]
    return table(head, [*ends, *rows])
