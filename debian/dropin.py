# SPDX-License-Identifier: Apache-2.0
"""Write the drop-ins for thin-edge's renewer units, from our own units: `python3 debian/dropin.py DIRECTORY`.

A drop-in replaces all lines that run something, and brings user, confinement and time limit with it.
"""

import sys
from pathlib import Path

UNITS = Path(__file__).resolve().parent.parent / "units"
NAME = "50-tedge-cert-renewer.conf"
# Each unit with the instance of the mapper's units that belongs to it.
MAPPERS = {"tedge-cert-renewer@.service": "%i", "tedge-cert-renewer-c8y@.service": "c8y@%i"}
STEPS = ("ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecStop", "ExecStopPost")
# thin-edge's own unit has this line, and a drop-in of an administrator may have another value that comes before ours.
THEIRS = "Environment=RENEW_WITH_CA="
# ProtectProc=invisible shows only processes of the same user and group, and the steps look at the mapper's: when it was
# started decides whether it has read the present certificate. The key, which group mosquitto reads, is handed over.
GROUPS = ("Group=mosquitto", "Group=tedge")
HEAD = """\
# SPDX-License-Identifier: Apache-2.0
#
# Made from {unit} of the package tedge-cert-renewer.
# Lets thin-edge's unit run the steps of tedge-cert-renewer-common. Removing the package tedge-cert-renewer-beside
# removes this file; thin-edge's own lines are then in force again.

[Unit]
Documentation=man:tedge-cert-renewer-beside(7)
Wants=network-online.target
After=network-online.target mosquitto.service
# Restarts the mapper when a step asks for it. Nothing has to be enabled for it.
Wants=tedge-cert-renewer-mapper@{mapper}.path
After=tedge-cert-renewer-mapper@{mapper}.path
# Gives the key of the device to a step, where only mosquitto may read it.
Wants=tedge-cert-renewer-key.socket
After=tedge-cert-renewer-key.socket
StartLimitIntervalSec=0

[Service]
# thin-edge's own lines end here.
{resets}
# The key as user mosquitto reads it; "none" where that is not needed, or not possible.
LoadCredential=tedge.key:/run/tedge-cert-renewer-key
SetCredential=tedge.key:none
"""
# Profiles can share a certificate; then a renewal of one restarts the mappers of all.
TIMER = """\
# SPDX-License-Identifier: Apache-2.0
#
# While this timer is active, systemd waits for requests to restart the mapper. The renewal of another profile with the
# same certificate makes them too.

[Unit]
Wants=tedge-cert-renewer-mapper@{mapper}.path
"""


def drop_in(unit: str, text: str) -> str:
    """Return the drop-in that makes thin-edge's ``unit`` run as ours, whose text is given."""
    service = text.partition("\n[Service]\n")[2]
    kept = "".join(line for line in service.splitlines(keepends=True) if not line.startswith(THEIRS))
    head = HEAD.format(unit=unit, mapper=MAPPERS[unit], resets="\n".join(f"{each}=" for each in STEPS))
    return head + kept.replace(*GROUPS)


def main(directory: Path) -> None:
    for unit, mapper in MAPPERS.items():
        service = drop_in(unit, (UNITS / unit).read_text(encoding="utf-8"))
        for name, text in ((unit, service), (unit.replace(".service", ".timer"), TIMER.format(mapper=mapper))):
            made = directory / f"{name}.d" / NAME
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
