# SPDX-License-Identifier: Apache-2.0
"""The CPU time of an activation that finds nothing to do, beside two bare interpreters in a unit."""

import argparse
import shutil
from pathlib import Path

from bench import directives, stage, units
from bench.figures import Series, ratio, side_by_side
from system.device import Device
from system.onboarding import configure, register
from system.renewer import CERTIFICATE, SERVICE

BARE = "/usr/bin/python3 -I -S -c pass"
UNCONFINED = "bench-renewer@c8y.service"
PEER = "bench-peer.service"
CONFINED_PEER = "bench-confined-peer.service"
OPENSSL = "bench-openssl.service"
# thin-edge's own hour: its condition, and the shell that its unit runs afterwards.
TEDGE, CONFINED_TEDGE = "bench-tedge.service", "bench-confined-tedge.service"

# Unit, name of its row, and how systemd calls the end of a run.
_MEASURED = {
    SERVICE: ("(a) activation as shipped, ms", "exec-condition"),
    UNCONFINED: ("(b) activation, confinement reset, ms", "exec-condition"),
    PEER: ("(c) two bare interpreters, ms", "success"),
    CONFINED_PEER: ("(d) two bare interpreters, confined, ms", "success"),
    OPENSSL: ("(e) `openssl x509 -checkend`, unconfined, ms", "success"),
    TEDGE: ("(f) thin-edge's two commands, unconfined, ms", "success"),
    CONFINED_TEDGE: ("(g) thin-edge's two commands, confined as (a), ms", "success"),
}
# A program of another make, where this machine has it on its PATH.
_OTHER = "/usr/local/lib/bench-tedge"
_GOALS = {"(b)/(c)": "<= 1.0", "(b)/(f)": "<= 1.0", "(a)/(g)": "<= 1.0", "exposure": "<= 1.4"}
_PEAK = """
import os, posix, sys

def end(code, leave=os._exit):
    with open("/proc/self/status") as status:
        print(next(line.split()[1] for line in status if line.startswith("VmHWM:")), flush=True)
    leave(code)

os._exit = posix._exit = end
if len(sys.argv) == 1:
    os._exit(0)
sys.argv = sys.argv[1:]
path = os.path.realpath(sys.argv[0])
sys.path.insert(0, os.path.dirname(path))
with open(path) as file:
    program = file.read()
exec(compile(program, path, "exec"), {"__name__": "__main__", "__file__": path})
"""


def prepare(device: Device) -> units.RenewerUnit:
    """Install the units beside the renewer's, and see that they are what they are taken for."""
    renewer = units.RenewerUnit.of(device)
    device.keep_loaded(SERVICE)
    units.install(device, UNCONFINED, renewer.text, renewer.reset())
    units.install(device, PEER, renewer.peer([BARE, BARE]))
    units.install(device, CONFINED_PEER, renewer.peer([BARE, BARE], renewer.confinement))
    units.install(device, OPENSSL, renewer.peer([f"/usr/bin/openssl x509 -checkend 2592000 -noout -in {CERTIFICATE}"]))
    if other := shutil.which("tedge"):
        device.copy_in(Path(other).resolve(), _OTHER)
        device.run(["chmod", "755", _OTHER])
        # It says "nothing to do" by 1. The second line is what its unit gives to a shell after every end.
        commands = [
            f"-{_OTHER} cert needs-renewal c8y",
            f"/bin/sh -c 'rm -f \"$$({_OTHER} config get c8y.device.cert_path).new\"'",
        ]
        units.install(device, TEDGE, renewer.peer(commands))
        units.install(device, CONFINED_TEDGE, renewer.peer(commands, renewer.confinement))
    units.check_reset(device, UNCONFINED, PEER, renewer.confined_by)
    units.check_reset(device, CONFINED_PEER, SERVICE, renewer.confined_by)
    return renewer


def peak_mb(device: Device, *words: str) -> str:
    """Return the greatest resident size in MB of an interpreter that runs those words, or nothing."""
    words = ("env", "RENEWAL_SPREAD=20%", "/usr/bin/python3", "-S", "-c", _PEAK, *words)
    said = device.run(words, user="tedge", check=False).stdout
    return f"{int(said.splitlines()[-1]) / 1024:.1f}"


def measure(device: Device, runs: int) -> dict[str, str]:
    """Return the column of a device."""
    others = (TEDGE, CONFINED_TEDGE)
    measured = {unit: each for unit, each in _MEASURED.items() if unit not in others or shutil.which("tedge")}
    series = {unit: Series() for unit in measured}
    for number in range(runs + 1):
        for unit, (_, result) in measured.items():
            used = stage.activate(device, unit, result)
            if number:  # the first round only fills caches
                series[unit].add(used)
    rows = {name: series[unit].show() for unit, (name, _) in measured.items()}
    rows["(b)/(c)"] = ratio(series[UNCONFINED], series[PEER])
    rows["(a)/(c)"] = ratio(series[SERVICE], series[PEER])
    rows["(a)/(d)"] = ratio(series[SERVICE], series[CONFINED_PEER])
    if TEDGE in series:
        rows["(b)/(f)"] = ratio(series[UNCONFINED], series[TEDGE])
        rows["(a)/(g)"] = ratio(series[SERVICE], series[CONFINED_TEDGE])
    rows["exposure"] = units.exposure(device, SERVICE)
    condition = ("/usr/bin/tedge-cert-needs-renewal", "--systemd", "c8y")
    rows["peak memory of the condition / a bare interpreter, MB"] = f"{peak_mb(device, *condition)} / {peak_mb(device)}"
    return rows


def bench(release: str, package: Path, arguments: argparse.Namespace) -> tuple[dict[str, str], str, str]:
    """Return the column of a release, its versions, and the table of its directives if that is wanted."""
    with stage.staged(release, package) as (device, tenant):
        configure(device, tenant)
        register(device, tenant)
        tenant.stop()  # a certificate that is valid is all that is needed from here on
        renewer = prepare(device)
        stage.say(f"{stage.column(release)}: {arguments.runs} rounds of {len(_MEASURED)} units")
        column = measure(device, arguments.runs)
        costs = directives.costs(device, renewer, BARE) if arguments.directives else ""
        return column, stage.versions(device), costs


def main() -> None:
    """Measure and print."""
    parser = stage.parser(__doc__, 15)
    parser.add_argument("--directives", action="store_true", help="also what each directive costs, some minutes")
    arguments = parser.parse_args()
    columns: dict[str, dict[str, str]] = {}
    notes: list[str] = []
    tables: list[str] = []
    with stage.tidy_machine() as package:
        for release in arguments.releases:
            name = stage.column(release)
            columns[name], versions, costs = bench(release, package, arguments)
            notes.append(f"{name}: {versions}")
            tables += [f"\n{name}, {directives.RUNS} runs of one bare interpreter\n", costs] if costs else []
    print(side_by_side(f"hourly: CPU, median (min to max) of {arguments.runs}", columns, _GOALS), *tables, "", sep="\n")
    more = ["--directives"] if arguments.directives else []
    print(stage.surroundings(), *notes, stage.repeat("hourly", arguments, *more), sep="  \n")


if __name__ == "__main__":
    main()
