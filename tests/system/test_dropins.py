# SPDX-License-Identifier: Apache-2.0
"""Changes that an administrator makes with `systemctl edit`."""

from system.device import Device
from system.renewer import (
    CANDIDATE,
    CERTIFICATE,
    DIRECTORY,
    KEY,
    SERVICE,
    TIMER,
    enrolments,
    make_due,
    said,
    serial,
    start,
    wait_out,
)
from tenant.client import Tenant


def edit(device: Device, unit: str, text: str) -> None:
    """Write the file that `systemctl edit` of the unit writes."""
    device.write(f"/etc/systemd/system/{unit}.d/override.conf", text)
    device.systemctl("daemon-reload")


def test_another_schedule(connected: Device) -> None:
    edit(connected, TIMER, "[Timer]\nOnCalendar=\nOnCalendar=*-*-* 03:00\nRandomizedDelaySec=0\n")
    connected.systemctl("restart", TIMER)
    assert "03:00:00" in connected.run(f"systemctl list-timers --no-pager {TIMER}").stdout


def test_a_command_after_each_renewal(connected: Device) -> None:
    edit(connected, SERVICE, "[Service]\nExecStartPost=/usr/bin/touch /run/tedge-cert-renewer/renewed\n")
    assert start(connected).outcome == "skipped"
    assert not connected.exists("/run/tedge-cert-renewer/renewed")
    make_due(connected)
    assert start(connected).outcome == "success"
    assert connected.exists("/run/tedge-cert-renewer/renewed")


HOOKS = "/etc/tedge-cert-renewer/hooks.d"


def test_hooks_run_confined_after_a_renewal_and_after_a_failure(connected: Device, tenant: Tenant) -> None:
    facts = connected.stat(f"{HOOKS}/renewed")
    assert (facts.owner, facts.group, facts.mode) == ("root", "root", 0o755)
    told = 'echo "$(basename $0): $(id -un) $TEDGE_CLOUD $TEDGE_DEVICE_ID $CERT_PATH $RENEWAL_RESULT"; touch /etc/x'
    for kind in ("renewed", "failed"):
        connected.write(f"{HOOKS}/{kind}/10-tell-{kind}", f"#!/bin/sh\n{told}\n", mode=0o755)
    connected.write(f"{HOOKS}/renewed/20-open", "#!/bin/sh\ntouch /run/tedge-cert-renewer/ran\n", mode=0o777)
    assert start(connected).outcome == "skipped"
    make_due(connected)
    edit(connected, SERVICE, "[Service]\nExecStartPre=\n")
    failed = start(connected)
    assert failed.outcome == "failed"
    assert said(failed, f"10-tell-failed: tedge c8y {connected.name} {CERTIFICATE} step-failed"), failed.lines
    edit(connected, SERVICE, "")
    wait_out(connected)
    run = start(connected)
    assert run.outcome == "success", run.lines
    assert said(run, f"10-tell-renewed: tedge c8y {connected.name} {CERTIFICATE} renewed"), run.lines
    assert said(run, f"the hook {HOOKS}/renewed/20-open was not run"), run.lines
    assert not connected.exists("/etc/x")
    assert not connected.exists("/run/tedge-cert-renewer/ran")


def test_a_renew_step_of_the_administrator(connected: Device, tenant: Tenant) -> None:
    old = serial(tenant, connected)
    csr = connected.run(f"openssl req -new -key {KEY} -subj '/CN={connected.name}/O=Thin Edge/OU=Device'").stdout
    connected.write("/usr/local/share/issued.pem", tenant.issue(csr, lifetime_s=400 * 86_400))
    # As in the manual, with a request of the confined step's own.
    step = f"tedge cert create-csr\ntest -s {DIRECTORY}/tedge.csr\ncp /usr/local/share/issued.pem {CANDIDATE}\n"
    connected.write("/usr/local/bin/fetch-certificate", f"#!/bin/sh -e\n{step}", mode=0o755)
    edit(connected, SERVICE, "[Service]\nExecStartPre=\nExecStartPre=/usr/local/bin/fetch-certificate\n")
    make_due(connected)
    run = start(connected)
    assert run.outcome == "success", run.lines
    assert tenant.wait_connected(connected.name, not_serial=old)
    assert enrolments(tenant) == 0


def test_a_renew_step_that_brings_a_certificate_of_another_device(connected: Device, tenant: Tenant) -> None:
    before = connected.read(CERTIFICATE)
    csr = connected.run(f"openssl req -new -key {KEY} -subj '/CN=another-device'").stdout
    connected.write("/usr/local/share/issued.pem", tenant.issue(csr))
    step = f"/bin/cp /usr/local/share/issued.pem {CANDIDATE}"
    edit(connected, SERVICE, f"[Service]\nExecStartPre=\nExecStartPre={step}\n")
    make_due(connected)
    connections = len(tenant.device(connected.name)["connections"])
    run = start(connected)
    assert run.outcome == "failed"
    assert said(run, "issued to another-device, expected the device id"), run.lines
    assert connected.read(CERTIFICATE) == before
    assert not connected.exists(CANDIDATE)
    assert len(tenant.device(connected.name)["connections"]) == connections


def test_a_renew_step_that_brings_nothing(connected: Device) -> None:
    edit(connected, SERVICE, "[Service]\nExecStartPre=\nExecStartPre=/bin/true\n")
    make_due(connected)
    run = start(connected)
    assert run.outcome == "failed"
    assert said(run, "the renew step brought none"), run.lines


def test_a_certificate_outside_the_directory(connected: Device, tenant: Tenant) -> None:
    connected.run("install -d -o tedge -g mosquitto /data/certificates")
    connected.run(f"cp -p {CERTIFICATE} /data/certificates/device.pem; tedge disconnect c8y")
    connected.run("tedge config set device.cert_path /data/certificates/device.pem; tedge connect c8y", timeout_s=90)
    edit(connected, SERVICE, "[Service]\nReadWritePaths=-/data/certificates\n")
    make_due(connected)
    run = start(connected)
    assert run.outcome == "success", run.lines


def test_a_command_after_a_failure(connected: Device) -> None:
    device = connected
    told = "[Service]\nType=oneshot\nExecStart=/usr/bin/touch /run/told-of-%i\n"
    device.write("/etc/systemd/system/certificate-trouble@.service", told)
    edit(device, "tedge-cert-renewer@.service", "[Unit]\nOnFailure=certificate-trouble@%i.service\n")
    assert start(device).outcome == "skipped"
    assert not device.exists("/run/told-of-c8y")
    device.run(f"mv {CERTIFICATE} {CERTIFICATE}.away")
    assert start(device).outcome == "failed"
    device.wait_for("test -e /run/told-of-c8y")


def test_the_drop_in_of_an_instance_hides_the_one_of_the_template(connected: Device) -> None:
    """The manual says so, and the way out of it."""
    edit(connected, "tedge-cert-renewer@.service", "[Service]\nEnvironment=ALL=1\n")
    assert "ALL=1" in connected.unit(SERVICE, "Environment")["Environment"]
    edit(connected, SERVICE, "[Service]\nEnvironment=ONE=1\n")
    assert "ALL=1" not in connected.unit(SERVICE, "Environment")["Environment"]
    directory = "/etc/systemd/system/tedge-cert-renewer@.service.d"
    connected.run(f"mv {directory}/override.conf {directory}/50-mine.conf; systemctl daemon-reload")
    assert {"ALL=1", "ONE=1"} <= set(connected.unit(SERVICE, "Environment")["Environment"].split())
