# SPDX-License-Identifier: Apache-2.0
"""A careless `chown -R` or `chmod -R`: the next hour names it and the cure, nothing is lost, and the cure cures."""

import pytest

from faults.booted.test_services import expect_good
from faults.record import LostDeviceError, Matrix
from system.device import Device
from system.renewer import CERTIFICATE, KEY, make_due, start
from tenant.client import Tenant

pytestmark = pytest.mark.one_release

CURE = "`sudo tedge reconnect c8y` gives owners and modes back"
ETC, CERTS, OURS = "/etc/tedge", "/etc/tedge/device-certs", "/var/lib/tedge-cert-renewer /run/tedge-cert-renewer"
LOCK = "/run/tedge-cert-renewer/etc-tedge-device-certs-tedge-certificate.pem.lock"
TOML = f"{ETC}/tedge.toml"
# What was done, what the next hour names, and whether the unit fails of it.
CARELESS = {
    "etc to root": (f"chown -R root:root {ETC}", KEY, True),
    "certificates to root": (f"chown -R root:root {CERTS}", KEY, True),
    "all to root": (f"chown -R root:root {ETC} {OURS}", LOCK, True),
    "etc to nobody": (f"chown -R nobody:nogroup {ETC}", KEY, True),
    "state to root": (f"chown -R root:root {OURS}", LOCK, True),
    "etc for all": (f"chmod -R 777 {ETC}", KEY, False),
    "all for all": (f"chmod -R 777 {ETC} {OURS}", KEY, False),
    "etc for its owner": (f"chmod -R 600 {ETC}", TOML, True),
    "certificates for their owner": (f"chmod -R 600 {CERTS}", CERTIFICATE, True),
    "all for its owner": (f"chmod -R 600 {ETC} {OURS}", TOML, True),
}
QUICK = ("etc for its owner", "all to root", "etc for all")
# Every user who runs these gets a line, whatever the files are like.
COMMANDS = (
    "cert renew c8y", "cert verify c8y", "cert cleanup c8y", "cert show", "cert status", "cert create-csr",
    "cert download c8y --device-id x --one-time-password password-1 --max-timeout 0 --retry-every 1",
    "cert create --device-id x", "connect c8y --test", "config get device.id", "disconnect c8y --profile other",
)  # fmt: skip
PLACES = {
    ETC: "root root 755", f"{ETC}/mosquitto-conf": "root root 755", CERTS: "tedge mosquitto 755",
    "/run/tedge-cert-renewer": "tedge mosquitto 755", "/var/lib/tedge-cert-renewer": "tedge mosquitto 755",
    TOML: "root root 644", CERTIFICATE: "tedge mosquitto 644", KEY: "tedge mosquitto 640",
    LOCK: "tedge mosquitto 640", f"{ETC}/mosquitto-conf/c8y-bridge.conf": "root root 644",
    f"{ETC}/mosquitto-conf/tedge-mosquitto.conf": "root root 644",
}  # fmt: skip


@pytest.mark.row("Disk")
@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[] if each in QUICK else pytest.mark.whole) for each in CARELESS]
)
def test_a_careless_change(connected: Device, tenant: Tenant, matrix: Matrix, name: str) -> None:
    command, named, fails = CARELESS[name]
    connected.run(command)
    for words in COMMANDS:
        with matrix.case(f"{name}: {words}"):
            matrix.said(connected.run(f"tedge {words}", check=False).stderr)
    connected.run(command)
    make_due(connected)
    connected.run(command)
    before = connected.run(f"cat {KEY}").stdout
    run = start(connected)
    said = matrix.said("\n".join(run.lines))
    assert run.outcome == ("failed" if fails else "success"), said
    if not any(named in each and CURE in each for each in run.lines):
        raise LostDeviceError(said)
    cured = connected.run("tedge reconnect c8y", timeout_s=200)
    assert "warning" not in cured.stderr, cured
    places = connected.run("stat -c '%n %U %G %a' " + " ".join(PLACES)).stdout.splitlines()
    assert places == [f"{path} {facts}" for path, facts in PLACES.items()]
    assert start(connected).outcome == ("success" if fails else "skipped")
    assert connected.run(f"cat {KEY}").stdout == before
    expect_good(connected, tenant, said)
