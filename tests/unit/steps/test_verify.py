# SPDX-License-Identifier: Apache-2.0
"""Step 3 up to the promotion: which candidates are promoted, and which are never shown to the tenant."""

import os
from collections.abc import Callable

import pytest
from pytest_mock import MockerFixture

from tedge_cert.steps import verify as verification
from tedge_cert.steps.switch import Switch
from unit import connected, recipes
from unit.certificates import make_for
from unit.connected import after, certify, connect, instance_of, issue, rejected, serials
from unit.local_client import Local
from unit.local_device import LocalDevice
from unit.switching import contacts, verify

MIB = 1 << 20


def test_a_switch_without_an_interruption(
    local_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    certify(local_device)
    connect(local_device)
    new, broker = issue(local_device), local_device.broker_pid
    local_device.candidate.chmod(0o600)
    with Local(local_device) as local:

        def send() -> None:
            for number in range(40):
                local.client.publish("c8y/s/us", f"400,c8y_Test,{number}", qos=1)

        local.wait_health("1")
        send()
        connected.before(mocker, Switch, "promote", send)
        after(mocker, Switch, "promote", send)
        assert verify(local_device) == (0, "")
        send()
        local_device.tenant.wait_messages(local_device.device_id, 161, topic="s/us")
        assert local.losses == 0
        assert local.health == ["1", "0", "1"]
    assert serials(local_device) == (new, None, None)
    assert local_device.certificate.stat().st_mode & 0o777 == 0o644
    os.kill(broker, 0)
    seen = local_device.tenant.wait_connected(local_device.device_id, serial=new)
    assert (seen["evictions"], len(seen["connections"])) == (1, 3)
    said = capsys.readouterr().err
    assert f"Validating new certificate: {local_device.candidate}... ✓\n" in said
    assert f"The new certificate is now the active certificate {local_device.certificate}\n" in said


def other_key(device: LocalDevice) -> None:
    device.candidate.write_bytes(make_for(90, name=device.device_id).pem)


def symlink(device: LocalDevice) -> None:
    elsewhere = device.directory / "elsewhere.pem"
    issue(device, elsewhere)
    device.candidate.symlink_to(elsewhere)


def oversized(device: LocalDevice) -> None:
    issue(device)
    device.candidate.write_bytes(device.candidate.read_bytes() + b"\n" * 2 * MIB)


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (lambda d: d.candidate.write_bytes(b"\x00garbage"), "no certificate in PEM"),
        (lambda d: d.candidate.touch(), "the file is empty"),
        (lambda d: d.candidate.mkdir(), "cannot be read as a plain file"),
        (lambda d: os.mkfifo(d.candidate), "not a regular file"),
        (lambda d: d.candidate.symlink_to(d.directory / "nowhere"), "cannot be read as a plain file"),
        (symlink, "cannot be read as a plain file"),
        (oversized, "larger than 1048576 bytes"),
        (other_key, "for the key of this device"),
        (lambda d: issue(d, name="another-device"), "issued to another-device, expected the device id"),
        (lambda d: issue(d, days=-1, not_before_offset_s=-2 * 86_400), "it expired 1d"),
    ],
)
def test_an_unfit_candidate(local_device: LocalDevice, put: Callable[[LocalDevice], object], said: str) -> None:
    certify(local_device)
    connect(local_device)
    before, certificate = contacts(local_device), local_device.certificate.read_bytes()
    put(local_device)
    code, text = verify(local_device)
    assert code == 3
    assert f"new certificate {local_device.candidate} rejected: " in text
    assert said in text
    assert contacts(local_device) == before
    assert local_device.certificate.read_bytes() == certificate
    assert not local_device.previous.exists()


def test_one_that_ends_earlier_is_rejected_in_the_unit_and_taken_by_hand(
    local_device: LocalDevice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = certify(local_device)
    new = issue(local_device, days=9)
    said = "not later than the certificate that it is to replace"
    monkeypatch.setenv("INVOCATION_ID", "1f")
    code, text = verify(local_device)
    assert (code, serials(local_device)) == (3, (old, new, None))
    assert said in text
    monkeypatch.delenv("INVOCATION_ID")
    capsys.readouterr()
    assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
    assert said in capsys.readouterr().err


def test_a_candidate_that_is_not_valid_yet(local_device: LocalDevice) -> None:
    old = certify(local_device)
    new = issue(local_device, not_before_offset_s=600)
    code, said = verify(local_device)
    assert (code, serials(local_device), rejected(local_device)) == (1, (old, new, None), None)
    assert "the clock is wrong" in said
    assert f"{local_device.candidate} is kept" in said
    assert local_device.tenant.device(local_device.device_id)["connections"] == []


def test_an_expired_certificate_is_replaced_without_being_shown(local_device: LocalDevice) -> None:
    certify(local_device, days=-1, not_before_offset_s=-2 * 86_400)
    new = issue(local_device)
    failures = len(local_device.tenant.state()["failed_handshakes"])
    assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
    seen = local_device.tenant.device(local_device.device_id)["connections"]
    assert {each["serial"] for each in seen} == {new}
    assert len(local_device.tenant.state()["failed_handshakes"]) == failures


def test_what_is_promoted_is_a_fresh_file(local_device: LocalDevice) -> None:
    """It has the leaf, then its chain, and nothing more, in any order of the candidate."""
    local_device.tenant.settings(intermediate=True, trust_intermediate=False)
    certify(local_device)
    new = issue(local_device)
    leaf = local_device.candidate.read_text()
    chain = local_device.tenant.issue_key("somebody")["chain"]
    parts = [f"{each}-----END CERTIFICATE-----\n" for each in chain.split("-----END CERTIFICATE-----\n")[:-1]]
    assert len(parts) == 2
    local_device.candidate.write_text("Bag Attributes\n" + "".join(reversed(parts)) + leaf.replace("\n", "\r\n"))
    local_device.candidate.chmod(0o600)
    number = local_device.candidate.stat().st_ino
    assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
    assert local_device.certificate.read_text() == leaf + "".join(parts)
    found = local_device.certificate.stat()
    assert (found.st_mode & 0o777, found.st_ino == number) == (0o644, False)


@pytest.mark.parametrize("refused", [True, False])
def test_a_candidate_that_comes_during_the_proof(
    local_device: LocalDevice, mocker: MockerFixture, refused: bool
) -> None:
    """It was not proved, so it is neither removed nor rejected."""
    connected.hurry(mocker)
    old = certify(local_device)
    new = issue(local_device)
    newer: list[str] = []
    after(mocker, verification, "prove", lambda: newer.append(issue(local_device, days=200)))
    if refused:
        local_device.tenant.fault(where="mqtt", do="connack", code=5, serials=[new])
    assert verify(local_device)[0] == (3 if refused else 0)
    assert serials(local_device) == (old if refused else new, newer[0], None)
    recipes.clean_up(instance_of(local_device))
    assert serials(local_device) == (old if refused else new, newer[0], None)


@pytest.mark.parametrize(("days", "code", "said"), [(90, 0, "nothing to verify: no candidate"), (10, 1, "is due")])
def test_nothing_to_verify(local_device: LocalDevice, days: int, code: int, said: str) -> None:
    active = certify(local_device, days=days)
    result = local_device.run("tedge-cert-verify c8y")
    assert (result.exit, result.stdout, serials(local_device)) == (code, "", (active, None, None))
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
