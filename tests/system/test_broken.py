# SPDX-License-Identifier: Apache-2.0
"""A device that is broken has a failed unit, with one line that names the file and the cure; never a skipped one."""

import pytest

from system.device import Device
from system.renewer import CANDIDATE, CERTIFICATE, KEY, said, start
from tenant.client import Tenant

TOML = "/etc/tedge/tedge.toml"

BROKEN = {
    "empty": (f": > {CERTIFICATE}", CERTIFICATE, "the file is empty"),
    "garbage": (f"head -c 300 /dev/zero | tr '\\0' '\\377' > {CERTIFICATE}", CERTIFICATE, "BEGIN CERTIFICATE"),
    "missing": (f"rm {CERTIFICATE}", CERTIFICATE, "no such file"),
    "directory": (f"rm {CERTIFICATE}; mkdir {CERTIFICATE}", CERTIFICATE, "Is a directory"),
    "unreadable": (f"chown root:root {CERTIFICATE}; chmod 600 {CERTIFICATE}", CERTIFICATE, "Permission denied"),
    "der": (
        f"openssl x509 -outform DER -in {CERTIFICATE} -out /tmp/der; cp /tmp/der {CERTIFICATE}",
        CERTIFICATE,
        "expected PEM",
    ),
    "toml": (f"echo 'c8y = [' > {TOML}", TOML, "line 1"),
    "toml-type": (f"printf '[device]\\ncert_path = 5\\n' > {TOML}", TOML, "device.cert_path"),
    "toml-unreadable": (f"chmod 600 {TOML}; chown root {TOML}", TOML, "Permission denied"),
    "duration": (
        f"printf '[certificate.validity]\\nminimum_duration = \"soon\"\\n' > {TOML}",
        TOML,
        "certificate.validity.minimum_duration",
    ),
}


@pytest.mark.one_release
@pytest.mark.parametrize("name", BROKEN)
def test_unit_fails_and_names_file_and_fault(connected: Device, name: str) -> None:
    command, path, word = BROKEN[name]
    connected.run(command)
    run = start(connected)
    assert run.outcome == "failed", run.lines
    told = [line for line in run.lines if path in line]
    assert len(told) >= 1, run.lines
    assert word in told[0]


def test_expired_certificate_says_the_way_back(connected: Device, tenant: Tenant) -> None:
    csr = connected.run(
        f"openssl req -new -key {KEY} -subj '/CN={connected.name}/O=Thin Edge/OU=Device'", check=True
    ).stdout
    connected.write(CERTIFICATE, tenant.issue(csr, lifetime_s=-60, not_before_offset_s=-3600))
    run = start(connected)
    assert run.outcome == "failed"
    assert said(run, "expired 1m ago") or said(run, "expired 1m"), run.lines
    assert said(run, "one-time password")
    assert said(run, "tedge cert download c8y")


def test_clock_before_the_certificate_is_a_fault_of_its_own(connected: Device, tenant: Tenant) -> None:
    csr = connected.run(f"openssl req -new -key {KEY} -subj '/CN={connected.name}'").stdout
    before = tenant.issue(csr, not_before_offset_s=86_400)
    connected.write(CERTIFICATE, before)
    run = start(connected)
    assert run.outcome == "failed"
    assert said(run, "the clock is wrong"), run.lines
    assert connected.read(CERTIFICATE) == before


def test_tenant_that_is_not_set_is_named_with_the_command(connected: Device) -> None:
    connected.run("tedge config set certificate.validity.minimum_duration 366d; tedge config unset c8y.url")
    connected.run("tedge config unset c8y.http; tedge config unset c8y.mqtt")
    run = start(connected)
    assert run.outcome == "failed"
    assert said(run, "tedge config set c8y.url"), run.lines


def test_missing_key_is_an_error_and_none_is_made(connected: Device) -> None:
    connected.run(f"rm {KEY}; tedge config set certificate.validity.minimum_duration 366d")
    run = start(connected)
    assert run.outcome == "failed"
    assert said(run, f"the private key {KEY} is missing"), run.lines
    assert not connected.exists(KEY)
    assert not connected.exists(CANDIDATE)


def test_certificate_of_another_key_is_reported(connected: Device) -> None:
    connected.run(
        f"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out /tmp/key && cat /tmp/key > {KEY}; "
        "tedge config set certificate.validity.minimum_duration 366d"
    )
    run = start(connected)
    assert run.outcome == "failed"
    assert said(run, "is not the one of the certificate"), run.lines
