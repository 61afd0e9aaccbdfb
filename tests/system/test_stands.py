# SPDX-License-Identifier: Apache-2.0
"""The harness itself: a shared device is as new for each test, and replaced when it cannot be."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from system.renewer import CANDIDATE, CERTIFICATE, DIRECTORY, KEY, STATE, TIMER, make_due, serial, start
from system.stands import Stand, Stands

pytestmark = pytest.mark.one_release

_SPOIL = f"""
useradd stranger; mkdir -p /home/stranger /data; touch /home/stranger/file /data/file /run/told /tmp/file
echo > /etc/mosquitto/mosquitto.conf; rm -r /usr/share/doc/systemd
rm -r /var/lib/tedge-cert-renewer; mkdir -m 700 /var/lib/tedge-cert-renewer; touch /var/lib/tedge-cert-renewer/x
chown -R nobody /etc/tedge; chmod 600 {KEY}; rm {CERTIFICATE}; mkdir {CERTIFICATE}; ln -s /etc/shadow {CANDIDATE}
systemctl disable --now {TIMER}
mkdir -p /run/systemd/system/tedge-cert-renewer@.service.d
printf '[Service]\\nEnvironment=SPOILT=1\\n' > /run/systemd/system/tedge-cert-renewer@.service.d/spoil.conf
systemd-run --unit=left-behind sleep infinity; systemctl daemon-reload
mount -t tmpfs none {DIRECTORY}
"""
_FACTS = f"""
find /etc /home /usr/share/doc/systemd /usr/local /root -printf '%p %M %u %g %l\\n' | sort
find /etc -type f ! -name .updated | sort | xargs md5sum
find /run/tedge-cert-renewer /run/systemd/system /var/lib/tedge-cert-renewer -type f -printf '%p %M %u %g\\n' | sort
ls /data /run/told /tmp 2>&1; getent passwd; findmnt --noheadings --output TARGET | grep tedge
systemctl is-system-running; systemctl is-active {TIMER} left-behind; systemctl is-enabled {TIMER}
systemctl show -P Environment tedge-cert-renewer@c8y.service
"""


@pytest.fixture
def stands(package: Path) -> Iterator[Stands]:
    """Return stands that no other test has."""
    made = Stands(lambda: package)
    yield made
    made.end()


def facts(stand: Stand) -> str:
    return stand.device.run(_FACTS, check=False).stdout


def test_a_spoilt_device_is_as_new(stands: Stands, release: str) -> None:
    stand = stands.give(release, "connected")
    device, tenant = stand.device, stand.tenant
    before, known, old = facts(stand), tenant.device(device.name), serial(tenant, device)
    tenant.settings(lifetime_s=400 * 86_400)
    make_due(device)
    assert start(device).outcome == "success"
    assert device.exists(STATE)
    tenant.wait_connected(device.name, not_serial=old)
    tenant.fault(where="est", do="silence")
    device.run(_SPOIL)
    device.cut()
    assert facts(stand) != before
    assert stands.give(release, "connected") is stand
    assert facts(stand) == before
    assert tenant.settings()["faults"] == []
    now = tenant.device(device.name)
    assert (now["serial"], now["issued"], now["evictions"]) == (old, known["issued"], 0)
    assert len(now["connections"]) == 1
    make_due(device)
    assert start(device).outcome == "success"
    assert stands.give(release, "introduced") is stand
    assert not device.exists(KEY)
    assert not tenant.device(device.name)["connected"]
    assert device.state == "running"


@pytest.mark.parametrize("end", ["power cut", "no systemctl"])
def test_a_device_without_a_way_back_is_replaced(stands: Stands, release: str, end: str) -> None:
    stand = stands.give(release, "introduced")
    if end == "power cut":
        stand.device.power_cut()
        stand.device.boot()
    else:
        stand.device.run("rm /usr/bin/systemctl")
    another = stands.give(release, "introduced")
    assert another is not stand
    assert another.device.state == "running"
