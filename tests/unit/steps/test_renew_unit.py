# SPDX-License-Identifier: Apache-2.0
"""Step 2 as the unit runs it: no request while a candidate fits; and what the command prints for a person."""

import os
import subprocess
from collections.abc import Callable

import pytest

from unit import connected
from unit.certificates import make_for
from unit.connected import certify, issue, serials
from unit.local_device import LocalDevice

DAY_S = 86_400
BY_UNIT = "tedge-cert-renew --systemd c8y --ca c8y"


def asked(device: LocalDevice) -> int:
    """How often the tenant was asked for anything so far, by HTTP or MQTT."""
    state = device.tenant.state()
    return len(state["requests"]) + len(device.tenant.device(device.device_id)["connections"])


def test_a_fitting_candidate_is_used(local_device: LocalDevice) -> None:
    old = certify(local_device)
    new = issue(local_device)
    before = asked(local_device)
    result = local_device.run(BY_UNIT)
    assert (result.exit, result.stdout, serials(local_device)) == (0, "", (old, new, None))
    assert result.stderr == f"nothing asked for: the candidate {local_device.candidate} still fits and is used\n"
    assert asked(local_device) == before


def other_key(device: LocalDevice) -> None:
    device.candidate.write_bytes(make_for(90, name=device.device_id).pem)


def link(device: LocalDevice) -> None:
    elsewhere = device.directory / "elsewhere.pem"
    issue(device, elsewhere)
    device.candidate.symlink_to(elsewhere)


@pytest.mark.parametrize(
    ("put", "why"),
    [
        (lambda d: d.candidate.write_text("garbage"), "no certificate in PEM"),
        (other_key, "for the key of this device"),
        (lambda d: issue(d, name="another-device"), "issued to another-device"),
        (lambda d: issue(d, days=-1, not_before_offset_s=-2 * DAY_S), "it expired 1d"),
        (lambda d: issue(d, days=9), "not later than the certificate that it is to replace"),
        (link, "cannot be read as a plain file"),
        (lambda d: os.mkfifo(d.candidate), "cannot be read as a plain file"),
    ],
)
def test_an_unfit_candidate_is_replaced(
    local_device: LocalDevice, put: Callable[[LocalDevice], object], why: str
) -> None:
    old = certify(local_device)
    put(local_device)
    result = local_device.run(BY_UNIT)
    new = local_device.tenant.device(local_device.device_id)["issued"][-1]["serial"]
    assert (result.exit, result.stdout, serials(local_device)) == (0, "", (old, new, None))
    line = next(each for each in result.stderr.splitlines() if "does not fit" in each)
    assert line.startswith(f"the candidate {local_device.candidate} does not fit and is replaced: ")
    assert why in line
    assert not local_device.candidate.is_symlink()
    assert result.stderr.splitlines()[-1].startswith(
        f"new certificate {local_device.candidate}: serial {int(new):x}, valid until "
    )


def test_nothing_is_asked_when_not_due(local_device: LocalDevice) -> None:
    old = certify(local_device, days=60)
    before = asked(local_device)
    result = local_device.run(BY_UNIT)
    assert (result.exit, result.stdout, serials(local_device)) == (0, "", (old, None, None))
    assert result.stderr.startswith(f"nothing asked for: {local_device.certificate} is valid for 59d 23h")
    assert (result.stderr.count("\n"), asked(local_device)) == (1, before)


@pytest.mark.parametrize("words", [BY_UNIT, "tedge-cert-renew c8y"])
def test_nothing_is_asked_while_a_switch_is_unfinished(local_device: LocalDevice, words: str) -> None:
    old = certify(local_device)
    local_device.previous.write_bytes(local_device.certificate.read_bytes())
    new = certify(local_device, days=11)
    before = asked(local_device)
    result = local_device.run(words)
    assert (result.exit, result.stdout, serials(local_device)) == (0, "", (new, None, old))
    assert f"unfinished ({local_device.previous} exists)" in result.stderr
    assert (result.stderr.count("\n"), asked(local_device)) == (1, before)


def test_by_hand_it_always_asks(local_device: LocalDevice) -> None:
    old = certify(local_device, days=60)
    candidate = issue(local_device)
    result = local_device.run("tedge-cert-renew c8y")
    new = local_device.tenant.device(local_device.device_id)["issued"][-1]["serial"]
    assert (result.exit, serials(local_device)) == (0, (old, new, None))
    assert new != candidate
    assert result.stderr.endswith(
        "Certificate renewed successfully\n"
        "    For an un-interrupted service:\n"
        "    => the device has to be reconnected to the cloud\n\n"
    )
    assert result.stdout.startswith(f"Certificate:   {local_device.candidate}\nSubject:       CN=")
    assert result.stdout.count("\n") == 8


def test_two_at_once_ask_once(local_device: LocalDevice) -> None:
    old = certify(local_device)
    before = len(local_device.tenant.state()["requests"])
    runs = [
        subprocess.Popen(local_device.command(BY_UNIT), env=local_device.environment, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [run.communicate(timeout=60)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert sum("still fits and is used" in each for each in said) == 2
    assert len(local_device.tenant.state()["requests"]) == before + 1
    assert serials(local_device)[0] == old


@pytest.mark.parametrize(("cloud", "name"), [("az", "Azure"), ("aws", "Aws")])
def test_other_clouds(local_device: LocalDevice, cloud: str, name: str) -> None:
    certify(local_device)
    result = local_device.run(f"tedge-cert-renew {cloud}")
    assert (result.exit, result.stdout) == (1, "")
    assert f"not supported for {name}" in result.stderr


def test_no_secret_is_said_or_stored(local_device: LocalDevice) -> None:
    """The token is in no log and in no file, not even where the tenant refuses it."""
    certify(local_device)
    local_device.tenant.fault(where="token", do="malformed", payload="71,sesame.open.now", times=2)
    result = local_device.run("tedge-cert-renew c8y --debug")
    assert result.exit == 1
    assert "answered 401" in result.stderr
    assert "sesame" not in result.stderr + result.stdout
    files = [each for each in local_device.directory.rglob("*") if each.is_file()]
    assert connected.key_file(local_device) in files
    assert not [each for each in files if b"sesame" in each.read_bytes()]
