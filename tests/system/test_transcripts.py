# SPDX-License-Identifier: Apache-2.0
"""Commands that were recorded from thin-edge's own `tedge` have its exit codes and its words on stdout."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from system import transcripts
from system.device import Device
from system.devices import Devices
from system.network import in_namespace
from system.onboarding import TENANT, introduce
from system.transcript_differences import DIFFERENCES, NOT_YET
from system.transcripts import Case
from tenant.client import Tenant

# What is printed comes from the same lines on each release, and the unit tests run with the libraries of both.
pytestmark = pytest.mark.one_release

# Where the tenant was in the recording, seen from the device.
HTTP_PORT, MQTT_PORT = 18443, 18883
DEVICE, PASSWORD = "device-1", "otp-0123456789abcdef"

_KEEP = "mkdir /root/pristine && cp -a --parents /etc/tedge /etc/mosquitto/conf.d /root/pristine"
_RESTORE = """
ls /etc/tedge/mosquitto-conf/*-bridge.conf >/dev/null 2>&1 && connected=yes
systemctl disable --quiet --now 'tedge-cert-renewer@c8y.timer'
rm -rf /etc/tedge /etc/mosquitto/conf.d /tmp/*.csr && cp -a /root/pristine/etc /
find /var/lib/tedge-cert-renewer /run/tedge-cert-renewer -type f -delete
if [ "$connected" ]; then systemctl reset-failed mosquitto; systemctl restart mosquitto; fi
"""


@pytest.fixture
def recorded() -> list[Case]:
    """Return what was recorded."""
    file = transcripts.path()
    if file is None:
        pytest.skip("LEFT OUT: $TEDGE_TRANSCRIPTS does not name a recording of thin-edge's commands")
    return transcripts.cases(file)


@pytest.fixture
def replaying(recorded: list[Case], devices: Devices, tmp_path: Path) -> Iterator[tuple[Device, Tenant]]:
    """Return a booted device that finds the tenant at its own address, as the recorded one did."""
    device = devices.make("installed")
    address = device.network.host
    with Tenant.start(tmp_path / "tenant", [TENANT, "127.0.0.1"], address) as tenant:
        introduce(device, tenant, address)
        device.boot()
        routes = [f"{HTTP_PORT}:{address}:{tenant.http_port}", f"{MQTT_PORT}:{address}:{tenant.mqtt_port}"]
        with in_namespace(device.network, [sys.executable, "-m", "system.forwarder", *routes]):
            device.copy_in(Path(__file__).with_name("make_certificate.py"), "/usr/local/bin/make-certificate")
            device.run(f"chmod 755 /usr/local/bin/make-certificate && {_KEEP}")
            yield device, tenant


def test_every_recorded_command_is_answered_alike(recorded: list[Case], replaying: tuple[Device, Tenant]) -> None:
    device, tenant = replaying
    known = [*DIFFERENCES, *NOT_YET]
    wrong = []
    for case in recorded:
        tenant.register(DEVICE, PASSWORD)
        for command in case.setup:
            device.run(command, check=False, timeout_s=180)
        done = device.run(case.command, check=False, timeout_s=180)
        complaint = transcripts.verdict(case, done.exit_code, done.stdout, known)
        if complaint:
            wrong.append(f"{complaint}\n  stderr   {done.stderr.strip()[-200:]!r}")
        device.run(_RESTORE, check=False)
    unused = [each for each in known if not any(each.covers(case) for case in recorded)]
    assert not unused, f"nothing was recorded for {unused}"
    assert not wrong, "\n\n".join(wrong)
