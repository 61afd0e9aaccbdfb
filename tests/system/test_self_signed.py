# SPDX-License-Identifier: Apache-2.0
"""A device that signs its own certificates: created, uploaded, connected, renewed by the unit, uploaded, switched."""

from system.device import Device
from system.onboarding import configure
from system.renewer import CANDIDATE, CERTIFICATE, KEY, PREVIOUS, SERVICE, TIMER, enrolments, make_due, said, start
from tenant.client import Tenant

TIMER_DROP_IN = f"/etc/systemd/system/{TIMER}.d/often.conf"
EDITOR = "/usr/local/bin/editor-of-a-drop-in"
UPLOAD = "C8Y_USER=admin C8Y_PASSWORD=secret tedge cert upload c8y"


def edit(device: Device, text: str) -> None:
    """Write the drop-in as `systemctl edit` does for a person who types that text into its editor.

    That is below the second line; what stands from the next comment on is discarded. The file is the last argument.
    """
    device.write(f"{EDITOR}.text", text)
    script = 'for file; do :; done; edited=$(sed "2r $0.text" "$file") && echo "$edited" >"$file"'
    device.write(EDITOR, f"#!/bin/sh\n{script}\n", mode=0o755)
    device.run(["script", "--quiet", "--return", "--command", f"systemctl edit {SERVICE}", "/dev/null"],
               env={"EDITOR": EDITOR, "TERM": "dumb"})  # fmt: skip
    assert text.strip() in device.systemctl("cat", SERVICE).stdout


def test_the_life_of_a_self_signed_certificate(device: Device, tenant: Tenant) -> None:
    configure(device, tenant)
    created = device.run(f"tedge cert create --device-id {device.name}")
    assert created.stdout.startswith(f"Certificate:   {CERTIFICATE}\nSubject:       CN={device.name}, ")
    facts = [device.stat(path) for path in (KEY, CERTIFICATE)]
    assert [(each.owner, each.group, each.mode) for each in facts] == [
        ("tedge", "mosquitto", 0o640),
        ("tedge", "mosquitto", 0o644),
    ]
    assert device.run("tedge connect c8y", check=False, timeout_s=120).exit_code == 1
    assert "The tenant trusts it now" in device.run(UPLOAD).stderr
    assert "The tenant trusted it already" in device.run(UPLOAD).stderr
    device.run("tedge connect c8y", timeout_s=120)
    old = str(tenant.wait_connected(device.name)["serial"])

    edit(device, "[Service]\nEnvironment=RENEW_WITH_CA=self-signed\n")
    make_due(device)
    candidates = set()
    for _ in range(2):
        run = start(device)
        assert run.outcome == "failed", run.lines
        assert said(run, f"{CANDIDATE} is self-signed and not yet uploaded; `tedge cert upload c8y`"), run.lines
        candidates.add(device.read(CANDIDATE))
    assert len(candidates) == 1
    assert str(tenant.wait_connected(device.name, serial=old)["serial"]) == old

    # The unit goes on by itself, as it would at the full hour.
    key, after = device.read(KEY), device.cursor()
    device.write(TIMER_DROP_IN, "[Timer]\nOnCalendar=*:*:0/4\nRandomizedDelaySec=0\nAccuracySec=1ms\n")
    device.systemctl("daemon-reload")
    device.systemctl("restart", TIMER)
    device.await_entry(lambda entry: "not yet uploaded" in entry.message, after=after)
    assert CANDIDATE in device.run(UPLOAD).stderr
    device.await_entry(lambda entry: "confirmed: the bridge is connected with it" in entry.message, after=after)
    tenant.wait_connected(device.name, not_serial=old)
    device.systemctl("stop", TIMER, SERVICE)
    assert {device.read(CERTIFICATE)} == candidates
    assert device.read(KEY) == key
    assert not device.exists(CANDIDATE)
    assert not device.exists(PREVIOUS)
    facts = [device.stat(CERTIFICATE)]
    assert [(each.owner, each.group, each.mode) for each in facts] == [("tedge", "mosquitto", 0o644)]
    assert enrolments(tenant) == 0


def test_the_certificate_lives_where_the_configuration_says(device: Device) -> None:
    device.run("install -d -o tedge -g mosquitto /data/certificates")
    for key, name in (("cert_path", "device.pem"), ("key_path", "device.key"), ("csr_path", "device.csr")):
        device.run(f"tedge config set device.{key} /data/certificates/{name}")
    device.run("tedge cert create-csr --device-id d --output-path /tmp/device.csr")
    assert device.exists("/tmp/device.csr")
    assert device.run("tedge cert create --device-id d", check=False).exit_code == 1
    device.run("tedge cert remove")
    device.run("tedge cert create --device-id d")
    device.run("tedge cert renew --ca self-signed")
    listed = device.run("ls /data/certificates").stdout.split()
    assert listed == ["device.key", "device.pem", "device.pem.new"]
    assert device.run("tedge cert remove").exit_code == 0
    assert device.run("ls /data/certificates").stdout == ""
    assert device.run("tedge cert remove").exit_code == 0
