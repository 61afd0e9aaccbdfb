# SPDX-License-Identifier: Apache-2.0
"""Beside thin-edge's own packages: the hour is ours, all else stays theirs. Their packages and mapper are stand-ins."""

from pathlib import Path

import pytest

from system import thin_edge
from system.debs import BESIDE, COMMON, PACKAGE, sibling
from system.device import Device
from system.installing import another_version, install, remove
from system.renewer import (
    CANDIDATE,
    CERTIFICATE,
    DIRECTORY,
    KEY,
    PREVIOUS,
    SERVICE,
    TIMER,
    main_status,
    said,
    serial,
    start,
)
from system.thin_edge import make_due
from tenant.client import Tenant

PATH = "tedge-cert-renewer-mapper@c8y.path"
RESTART = "tedge-cert-renewer-mapper@c8y.service"
EXPOSURE_LIMIT = 1.4
# All files of thin-edge's, with owners, modes and times.
THEIRS = """
{ find /etc/tedge; dpkg --listfiles tedge tedge-mapper tedge-agent; } | sort -u |
    xargs stat -c '%n %F %U:%G %a %s %Y' | grep -v ' directory root:root '
"""

OURS = "systemctl list-units --all --no-legend --plain 'tedge-cert-renewer-mapper@*' 'tedge-cert-renewer-key*'"


@pytest.fixture
def beside(package: Path) -> Path:
    return sibling(package, BESIDE)


@pytest.fixture
def theirs(tmp_path: Path) -> list[Path]:
    return thin_edge.build(tmp_path / "theirs", agent=True)


def drop_in(device: Device, unit: str, *lines: str) -> None:
    """Write what `systemctl edit` does."""
    device.write(f"/etc/systemd/system/{unit}.d/override.conf", "\n".join(["[Service]", *lines, ""]))
    device.systemctl("daemon-reload")


def owners(device: Device) -> list[str]:
    return device.run(THEIRS).stdout.splitlines()


def pid(device: Device, unit: str) -> str:
    return device.unit(unit, "MainPID")["MainPID"]


def check_hour(device: Device, tenant: Tenant) -> None:
    """An hour with nothing to do, then one that is due."""
    assert start(device).outcome == "skipped"
    old = serial(tenant, device)
    make_due(device, tenant)
    run = start(device)
    assert run.outcome == "success", run.lines
    tenant.wait_connected(device.name, not_serial=old)
    assert not device.exists(PREVIOUS)
    assert device.unit(SERVICE, "User", "Group") == {"User": "tedge", "Group": "tedge"}
    overall = device.run(f"systemd-analyze security --no-pager {SERVICE} | tail -1").stdout
    assert float(overall.split(":")[1].split()[0]) <= EXPOSURE_LIMIT, overall


def check_gone(device: Device) -> None:
    """The hour is thin-edge's again, and nothing of ours is left behind it."""
    assert device.run(OURS).stdout == ""
    device.run(f"rm -f {thin_edge.CALLS}")
    assert start(device).outcome == "success"
    assert device.read(thin_edge.CALLS).splitlines() == [
        *("cert needs-renewal c8y", "cert renew c8y --ca c8y", "reconnect c8y", "config get c8y.device.cert_path")
    ]
    assert device.unit(TIMER, "ActiveState", "Description") == {"ActiveState": "active", "Description": "their timer"}


def test_the_mapper_gets_the_certificate_that_an_hour_renewed(before: tuple[Device, Tenant], beside: Path) -> None:
    device, tenant = before
    thin_edge.connect_by_mapper(device, tenant)
    theirs, timer = owners(device), device.unit(TIMER, "ActiveState", "ActiveEnterTimestampMonotonic")
    install(device, beside)
    assert (owners(device), device.unit(TIMER, *timer)) == (theirs, timer)
    mapper, broker = pid(device, thin_edge.MAPPER), pid(device, "mosquitto.service")
    check_hour(device, tenant)
    assert pid(device, thin_edge.MAPPER) != mapper
    assert pid(device, "mosquitto.service") == broker
    facts = device.stat(KEY)
    assert (facts.owner, facts.mode) == ("tedge", 0o400)
    # systemd started no program for the key of these two steps. systemd 262 asks for the key before the condition too;
    # the condition makes the link only after that.
    said = device.run("journalctl --sync; journalctl --boot --output=cat --unit='tedge-cert-renewer-key@*'").stdout
    assert ["skipped" in line for line in said.splitlines()[-2:]] == [True, True], said
    # It is restarted by root's unit, only if it runs, and as often as a step asks for it.
    device.systemctl("stop", thin_edge.MAPPER)
    for _ in range(7):
        after = device.cursor()
        device.run("echo again > /run/tedge-cert-renewer/c8y.mapper", user="tedge")
        device.await_entry(lambda entry: "Finished" in entry.message and "mapper" in entry.message, after=after)
    assert device.unit(thin_edge.MAPPER, "ActiveState")["ActiveState"] == "inactive"
    assert device.unit(PATH, "ActiveState")["ActiveState"] == "active"
    device.systemctl("start", thin_edge.MAPPER)
    check_profile(device)
    remove(device, "remove", BESIDE)
    check_gone(device)
    assert device.run("ls -A /run/tedge-cert-renewer").stdout == ""


def check_profile(device: Device) -> None:
    """The renewal of a profile wants units of its own, which restart the mapper of that profile."""
    others, own = (f"tedge-mapper-c8y@{name}.service" for name in ("p_1", "p-1"))
    device.systemctl("start", others, own)
    pids = pid(device, own), pid(device, others), pid(device, thin_edge.MAPPER)
    path = "tedge-cert-renewer-mapper@c8y@p-1.path"
    assert path in device.unit("tedge-cert-renewer-c8y@p-1.service", "Wants")["Wants"].split()
    # Another profile with the same certificate can ask for it before the first hour of this one.
    assert device.unit(path, "ActiveState")["ActiveState"] == "active"
    device.run("touch /run/tedge-cert-renewer/c8y@p-1.mapper", user="tedge")
    device.wait_for(f"test $(systemctl show -P MainPID {own}) != {pids[0]}")
    assert (pid(device, others), pid(device, thin_edge.MAPPER)) == pids[1:]
    device.systemctl("stop", others, own)


@pytest.mark.one_release
@pytest.mark.parametrize("trouble", ["masked", "failing"])
def test_a_restart_that_does_not_come_leaves_the_switch_to_the_next_hour(
    mapped: Device, tenant: Tenant, trouble: str
) -> None:
    old = serial(tenant, mapped)
    if trouble == "masked":
        mapped.systemctl("mask", RESTART)
    else:
        drop_in(mapped, RESTART, "ExecStart=", "ExecStart=/bin/false")
    make_due(mapped, tenant)
    run = start(mapped)
    assert run.outcome == "failed", run.lines
    assert said(run, RESTART), run.lines
    assert mapped.exists(PREVIOUS)
    mapped.run(f"systemctl unmask {RESTART}; systemctl revert {RESTART}")
    assert start(mapped).outcome == "success"
    tenant.wait_connected(mapped.name, not_serial=old)
    assert not mapped.exists(PREVIOUS)


@pytest.mark.one_release
def test_a_restart_that_is_asked_for_while_another_is_served(mapped: Device, tenant: Tenant) -> None:
    """systemd starts nothing for it, so it is asked for again."""
    old, mapper = serial(tenant, mapped), pid(mapped, thin_edge.MAPPER)
    drop_in(mapped, RESTART, "ExecStartPost=/bin/sleep 10")
    make_due(mapped, tenant)
    mapped.run("touch /run/tedge-cert-renewer/c8y.mapper", user="tedge")
    mapped.wait_for(f"test $(systemctl show -P MainPID {thin_edge.MAPPER}) != {mapper}")
    run = start(mapped)
    assert run.outcome == "success", run.lines
    tenant.wait_connected(mapped.name, not_serial=old)


@pytest.mark.one_release
def test_refused_after_the_promotion_the_mapper_goes_back_too(mapped: Device, tenant: Tenant) -> None:
    old, certificate = serial(tenant, mapped), mapped.read(CERTIFICATE)
    tenant.fault(where="mqtt", do="connack", code=5, except_serials=[old], accept_first=1)
    make_due(mapped, tenant)
    run = start(mapped)
    assert main_status(mapped) == "3", run.lines
    assert said(run, "the previous certificate is active again"), run.lines
    assert (mapped.read(CERTIFICATE), mapped.exists(PREVIOUS)) == (certificate, False)
    assert tenant.wait_connected(mapped.name)["serial"] == old


@pytest.mark.one_release
def test_another_user_than_tedge(mapped: Device, tenant: Tenant) -> None:
    """As tedge-cert-renewer-beside(7) says."""
    mapped.systemctl("stop", thin_edge.MAPPER)
    mapped.run(
        "useradd --system gateway; chown -R gateway:gateway /etc/tedge; "
        'printf \'[user]\nuser = "gateway"\ngroup = "gateway"\n\' >> /etc/tedge/system.toml'
    )
    drop_in(mapped, thin_edge.MAPPER, "User=gateway")
    mapped.systemctl("start", thin_edge.MAPPER)
    tenant.wait_connected(mapped.name)
    make_due(mapped, tenant)
    old, run = serial(tenant, mapped), start(mapped)
    assert run.outcome == "failed"
    cure = "sudo systemctl edit tedge-cert-renewer@c8y.service"
    assert said(run, f"belongs to gateway, as whom this unit has to run: `{cure}` sets User="), run.lines
    assert cure in mapped.run("tedge-cert-status", check=False).stdout
    drop_in(mapped, SERVICE, "User=gateway", "Group=gateway")
    lines = "".join(f"d /{each}/tedge-cert-renewer 0755 gateway mosquitto\n" for each in ("run", "var/lib"))
    mapped.write("/etc/tmpfiles.d/tedge-cert-renewer-common.conf", lines)
    mapped.run("rm -rf /run/tedge-cert-renewer/* /var/lib/tedge-cert-renewer/*; systemd-tmpfiles --create")
    run = start(mapped)
    assert run.outcome == "success", run.lines
    tenant.wait_connected(mapped.name, not_serial=old)
    assert mapped.stat(CERTIFICATE).owner == "gateway"
    assert "healthy" in mapped.run("tedge-cert-status").stdout


@pytest.mark.one_release
def test_a_profile_with_its_own_key_of_user_mosquitto(bridged: Device, tenant: Tenant) -> None:
    """systemd hands over the key of the default profile; its own one is read as tedge-cert-renewer-beside(7) says."""
    thin_edge.connect_profile(bridged, tenant, "other")
    name, service = f"{bridged.name}-other", "tedge-cert-renewer-c8y@other.service"
    old = tenant.wait_connected(name)["serial"]
    make_due(bridged, tenant)
    run = bridged.start_unit(service)
    assert run.outcome == "failed"
    assert said(run, "`sudo chmod 0440 "), run.lines
    bridged.run(f"chmod 0440 {DIRECTORY}/other-key.pem")
    drop_in(bridged, service, "SupplementaryGroups=mosquitto")
    run = bridged.start_unit(service)
    assert run.outcome == "success", run.lines
    tenant.wait_connected(name, not_serial=old)


def test_the_key_that_only_mosquitto_may_read(before: tuple[Device, Tenant], beside: Path) -> None:
    device, tenant = before
    thin_edge.connect(device, tenant)
    install(device, beside)
    broker = pid(device, "mosquitto.service")
    # From the time when the mapper had the bridge.
    device.run(f"ln -s {KEY} /run/tedge-cert-renewer/key-is-readable", user="tedge")
    check_hour(device, tenant)
    assert pid(device, "mosquitto.service") == broker
    facts = device.stat(KEY)
    assert (facts.owner, facts.group, facts.mode) == ("mosquitto", "mosquitto", 0o400)
    remove(device, "purge", BESIDE)
    check_gone(device)
    assert not device.exists("/var/lib/tedge-cert-renewer")


@pytest.mark.one_release
def test_no_file_of_roots_is_handed_to_tedge_as_the_key(bridged: Device) -> None:
    """Its directory is tedge's, who could put a link there."""
    device = bridged
    steps = ("ExecCondition=", "ExecStartPre=", "ExecStart=", "ExecStopPost=")
    drop_in(device, SERVICE, *steps, "ExecStart=/bin/cat %d/tedge.key")
    assert "-----BEGIN PRIVATE KEY-----" in "\n".join(start(device).lines)  # this shows what is handed over
    device.run(f"mv {KEY} {KEY}.away", user="tedge")
    # Nor one of mosquitto's, but for the key of the device.
    theirs = ("/srv/passwd", "/var/lib/mosquitto/listener.key")
    for place, source in zip(theirs, ("/etc/shadow", f"{KEY}.away"), strict=True):
        device.run(f"install -o mosquitto -m 400 {source} {place}")
    for target in ("/etc/shadow", *theirs):
        device.run(f"ln -sfn {target} {KEY}", user="tedge")
        assert not [line for line in start(device).lines if "root:" in line or "PRIVATE KEY" in line], target
        assert "root:" in device.read(KEY) or "PRIVATE KEY" in device.read(KEY)


def check_upgrade_in_mid_run(device: Device, tenant: Tenant, newer: list[Path]) -> None:
    """While the renewal waits for an operation, thin-edge is upgraded, which restarts mosquitto and the mapper."""
    operation = 'mosquitto_pub -r -q 1 -t te/device/main///cmd/software_update/1 -m \'{"status":"%s"}\''
    device.run(operation % "executing")
    make_due(device, tenant)
    old, after = serial(tenant, device), device.cursor()
    device.systemctl("start", "--no-block", SERVICE)
    device.await_entry(lambda entry: "is in progress" in entry.message, after=after)
    install(device, *newer)
    assert device.exists(CANDIDATE)
    device.run(operation % "successful")
    device.await_entry(lambda entry: "the certificate was renewed" in entry.message, after=after, timeout_s=90)
    tenant.wait_connected(device.name, not_serial=old)
    assert not device.exists(PREVIOUS)


def test_each_side_comes_and_goes(
    before: tuple[Device, Tenant], package: Path, beside: Path, theirs: list[Path], tmp_path: Path
) -> None:
    """Install, upgrade, remove and purge, in either order."""
    device, tenant = before
    thin_edge.connect_by_mapper(device, tenant)
    connections = tenant.device(device.name)["connections"]
    install(device, beside)
    install(device, another_version(beside, tmp_path / "ours", "0.2.90~test"))
    remove(device, "remove", BESIDE)
    check_gone(device)
    assert tenant.device(device.name)["connections"] == connections
    newer = thin_edge.build(tmp_path / "newer", "2.0.1", agent=True)
    install(device, another_version(beside, tmp_path / "again", "0.2.91~test"))
    assert start(device).outcome == "skipped"
    check_upgrade_in_mid_run(device, tenant, newer)
    assert "tedge-cert-verify" in device.run(f"systemctl cat {SERVICE}").stdout
    # Theirs goes: the mapper takes ours with it, the library stays.
    remove(device, "remove", "tedge-mapper")
    state = "dpkg-query -Wf '${db:Status-Status}' "
    assert device.run(state + BESIDE).stdout == "config-files"
    assert device.run(state + COMMON).stdout == "installed"
    assert device.run(OURS).stdout == ""
    remove(device, "purge", f"tedge tedge-agent tedge-mapper {BESIDE}")
    assert not device.exists("/run/tedge-cert-renewer")
    assert device.run("getent passwd tedge", check=False).stdout == ""
    assert device.state == "running"
    # Both once more, and then the other way: alone.
    install(device, *newer)
    thin_edge.connect(device, tenant)
    install(device, another_version(beside, tmp_path / "last", "0.2.92~test"))
    check_hour(device, tenant)
    said = install(device, another_version(package, tmp_path / "alone", "0.2.93~test")).stdout
    assert device.run(state + PACKAGE).stdout == "installed"
    assert device.run(state + BESIDE).stdout in ("config-files", "not-installed"), said
    tenant.wait_connected(device.name)
    assert device.run(f"systemctl is-active {TIMER}").stdout == "active\n"
    remove(device, "purge", BESIDE)
    assert device.exists("/var/lib/tedge-cert-renewer/c8y.json")
    assert start(device).outcome == "skipped"
    assert device.exists(CERTIFICATE)
