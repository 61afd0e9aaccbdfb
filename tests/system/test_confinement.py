# SPDX-License-Identifier: Apache-2.0
"""The confinement of the services: their exposure, and a program in their place that tries forbidden calls."""

import json
from pathlib import Path

import pytest

from system import confinement_probe
from system.device import Device

EXPOSURE_LIMIT = 1.4
PROBE = "/usr/local/lib/confinement_probe.py"
STEPS = ("ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecStopPost")
# What the certificate's renewal needs, and so works inside.
ALLOWED = {"write its directory", "write its locks", "socket inet", "socket inet6"}
# What an unconfined process of the same user could do on this machine, so that the probe is known to see it.
# (A container's own rules keep it from the rest.)
FREE = {
    "read /home", "read /tmp of others", "write /etc/tedge", "write /var/lib", "write /usr", "see process 1",
    "see the machine", "socket netlink", "ptrace", "setuid program", "leave a setuid program", "new user namespace",
    "new mount namespace", "new network namespace", "writable and executable memory", "another personality", "chown",
    "dump core",
}  # fmt: skip
TRAPS = """
echo secret > /tmp/of-others
mkdir -p /home/somebody /root /var/lib/probe-target /usr/local/probe-target
echo secret > /home/somebody/file; echo secret > /root/file
chown tedge: /var/lib/probe-target /usr/local/probe-target
touch /etc/tedge/tedge.toml; chown tedge: /etc/tedge/tedge.toml
cp /usr/bin/id /usr/local/bin/setuid-id; chmod 4755 /usr/local/bin/setuid-id
"""


def services(device: Device) -> list[str]:
    """An instance of each service that the package ships."""
    listed = device.run("dpkg --listfiles tedge-cert-renewer").stdout.splitlines()
    return [Path(name).name.replace("@.", "@c8y.") for name in listed if name.endswith(".service")]


def probe_in(device: Device, unit: str) -> dict[str, str]:
    """Run the probe in the sandbox of a service, in the place of all its programs."""
    reset = "".join(f"{step}=\n" for step in STEPS)
    text = f"[Unit]\nConditionPathExists=\n[Service]\n{reset}ExecStartPre=/usr/bin/python3 {PROBE}\nExecStart=true\n"
    device.write(f"/etc/systemd/system/{unit}.d/probe.conf", text)
    device.systemctl("daemon-reload")
    run = device.start_unit(unit)
    assert run.outcome == "success", run.entries
    found: dict[str, str] = json.loads(next(line for line in run.lines if line.startswith("{")))
    return found


def test_no_service_is_exposed(device: Device) -> None:
    for unit in services(device):
        overall = device.run(f"systemd-analyze security --no-pager {unit} | tail -1").stdout
        assert float(overall.split(":")[1].split()[0]) <= EXPOSURE_LIMIT, overall


@pytest.mark.own_device
def test_a_program_in_the_sandbox_gets_nowhere(device: Device) -> None:
    device.copy_in(Path(confinement_probe.__file__), PROBE)
    device.run(TRAPS)
    outside = json.loads(device.run(["python3", PROBE], user="tedge").stderr)
    assert {name for name, end in outside.items() if end == "done"} >= FREE | ALLOWED, outside
    for unit in services(device):
        inside = probe_in(device, unit)
        assert inside.keys() == confinement_probe.ATTEMPTS.keys()
        assert {name for name, end in inside.items() if end == "done"} == ALLOWED, (unit, inside)
        assert not [name for name, end in inside.items() if end.startswith("ended by")], (unit, inside)
        assert device.read("/etc/tedge/tedge.toml") == "probe"
