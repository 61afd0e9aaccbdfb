# SPDX-License-Identifier: Apache-2.0
"""The harness itself: what product tests rely on."""

import os
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from system import slots
from system.device import Device
from system.devices import Devices
from system.network import ip

pytestmark = pytest.mark.one_release

CAP_SYS_TIME = 25  # capability.h


def _lives(process: Path, name: str) -> bool:
    """Return whether the process belongs to that device and is no zombie, which only this machine's PID 1 can reap."""
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and f"/{name}" in (process / "cgroup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _leftovers(name: str) -> list[str]:
    found = [str(process) for process in Path("/proc").glob("[0-9]*") if _lives(process, name)]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"/{name}" in line]
    found += [line for line in ip("-brief", "link").splitlines() if line.startswith(name)]
    roots = ("/run/netns", "/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd")
    paths = [Path(root, name) for root in (*roots, "/run/systemd/nspawn/propagate")]
    return found + [str(path) for path in paths if path.exists()]


def test_boots_to_running(bare: Device, release: str) -> None:
    assert bare.state == "running"
    assert f"VERSION_CODENAME={release}" in bare.read("/etc/os-release")


def test_no_device_compiles_what_was_installed(devices: Devices) -> None:
    """Bytecode that lies elsewhere, as the environment of the tests asks for it, would cost each program its start."""
    device = devices.make("installed")
    for module in ("/usr/lib/tedge-cert-renewer/tedge_cert/events", "/usr/lib/python3/dist-packages/requests/api"):
        directory, name = module.rsplit("/", 1)
        assert device.run(f"ls {directory}/__pycache__/{name}.*.pyc").stdout


def test_timeout_leaves_nothing_running(bare: Device) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        bare.run("sleep 4242", timeout_s=0.3)
    bare.wait_for("! pgrep -f '^sleep 4242'", 5)


@pytest.mark.parametrize("power", ["on", "off"])
def test_no_command_may_set_the_clock(bare: Device, power: str) -> None:
    """The clock is that of this machine, so the test does not call it: a success would set the clock."""
    if power == "off":
        bare.power_cut()
    background = bare.start("cat /proc/self/status")
    background.wait()
    ways = {"as root": bare.run("cat /proc/self/status").stdout, "in the background": "\n".join(background.lines)}
    if power == "on":
        ways["systemd"] = bare.read("/proc/1/status")
    for way, status in ways.items():
        sets = dict(line.split(":") for line in status.splitlines() if line.startswith("Cap"))
        assert len(sets) == 5, way
        for name, bits in sets.items():
            assert not int(bits, 16) & 1 << CAP_SYS_TIME, (way, name)


def test_network_is_cut_and_restored(bare: Device) -> None:
    server = subprocess.Popen(["python3", "-m", "http.server", "--bind", bare.network.host, "8000"])
    try:
        bare.know({"peer.test": bare.network.host})
        fetch = "exec 3<>/dev/tcp/peer.test/8000 && printf 'HEAD / HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q 200 <&3"
        argv = ["timeout", "2", "bash", "-c", fetch]
        bare.wait_for(argv, 10)
        bare.cut()
        assert bare.run(argv, check=False).exit_code != 0
        bare.restore()
        bare.wait_for(argv, 10)
    finally:
        server.kill()
        server.wait()


def test_reaches_nothing_else(bare: Device) -> None:
    assert bare.run("ip route").stdout.split()[0].startswith("10.213.")
    assert bare.run("ip route get 192.0.2.1", check=False).exit_code != 0


def test_power_cut_keeps_files_and_journal(bare: Device) -> None:
    bare.write("/var/lib/kept", "x")
    bare.run("logger before-the-cut; journalctl --sync")
    identity = bare.read("/etc/machine-id")
    bare.power_cut()
    assert bare.read("/var/lib/kept") == "x"
    bare.boot()
    assert bare.state == "running"
    assert bare.read("/etc/machine-id") == identity
    assert "before-the-cut" in [entry.message for entry in bare.journal()]


def test_nothing_is_left_of_a_device(devices: Devices) -> None:
    with devices.make("base") as device:
        held = os.dup(device.slot.lock)  # keeps the place from being taken by another worker before we look
        assert _leftovers(device.name)
    assert _leftovers(device.name) == []
    assert not device.slot.directory.exists()
    os.close(held)


def test_sweep_clears_what_a_killed_run_left(release: str) -> None:
    script = (
        "from system.devices import Devices\n"
        f"device = Devices({release!r}, lambda: None).boot('base')\n"
        "print(device.name, flush=True)\n"
        "input()"
    )
    argv = [sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(argv, stdin=PIPE, stdout=PIPE, text=True, env=environment) as killed:
        name = killed.stdout.readline().strip() if killed.stdout else ""
        killed.kill()
    assert name
    assert _leftovers(name)
    slot = slots.Slot.take(int(name.removeprefix(slots.PREFIX)))
    if slot is not None:  # else another worker has taken, and so cleared, the place
        assert _leftovers(name) == []
        slot.release()
