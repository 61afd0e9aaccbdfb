# SPDX-License-Identifier: Apache-2.0
"""The state after real runs: which failures and successes count, and when they are forgotten."""

import time

import pytest
from pytest_mock import MockerFixture

from tedge_cert.device import state
from tedge_cert.device.state import State
from unit import connected, recipes
from unit.certificates import DAY_S
from unit.connected import certify, configure, hurry, instance_of, issue, serial_of
from unit.local_device import LocalDevice

RENEW = "tedge-cert-renew --systemd c8y"
CONDITION = "tedge-cert-needs-renewal --systemd c8y"
HOUR_S = 3_600


def left_by(device: LocalDevice) -> State:
    return state.load(instance_of(device).state_file)


def refuse(device: LocalDevice, status: int, **headers: str) -> None:
    device.tenant.fault(where="est", do="status", device=device.device_id, status=status, headers=headers)


def test_a_refusal_is_counted_and_the_next_hours_held_back(local_device: LocalDevice) -> None:
    certify(local_device)
    refuse(local_device, 403)
    began_s = int(time.time())
    refused = local_device.run(RENEW)
    assert refused.exit == 1
    left = left_by(local_device)
    assert (left.result, left.step, left.attempts, left.key_fits) == ("request-refused", "renew", 1, True)
    assert refused.stderr.splitlines()[-1] == f"error: {left.reason}"
    assert refused.stderr.count(left.reason) == 1
    assert began_s + HOUR_S < left.next_attempt_s <= time.time() + 8 * HOUR_S
    assert int(left.serial, 16) == int(serial_of(local_device.certificate) or "")
    requests = len(local_device.tenant.state()["requests"])
    held = local_device.run(CONDITION)
    assert (held.exit, held.stderr.count("\n")) == (255, 1)
    assert held.stderr.startswith(f"warning: {local_device.certificate} is due (9d 23h")
    assert left.reason in held.stderr
    assert (len(local_device.tenant.state()["requests"]), left_by(local_device)) == (requests, left)


@pytest.mark.parametrize("value", ["7200", "date"])
def test_retry_after_is_kept_to(local_device: LocalDevice, value: str) -> None:
    certify(local_device)
    now_s = int(time.time())
    text = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now_s + 7_200)) if value == "date" else value
    refuse(local_device, 429, **{"Retry-After": text})
    assert local_device.run(RENEW).exit == 1
    assert now_s + 7_190 <= left_by(local_device).next_attempt_s <= time.time() + 7_930


def test_by_hand_nothing_is_held_back_nor_counted(local_device: LocalDevice) -> None:
    certify(local_device)
    refuse(local_device, 503, **{"Retry-After": "7200"})
    assert local_device.run(RENEW).exit == 1
    left = left_by(local_device)
    assert local_device.run("tedge-cert-renew c8y").exit == 1
    assert left_by(local_device) == left
    local_device.tenant.clear_faults()
    assert local_device.run("tedge-cert-renew c8y").exit == 0
    assert local_device.run(CONDITION).exit == 0


def test_attempts_are_counted_and_a_success_ends_them(local_device: LocalDevice) -> None:
    certify(local_device)
    refuse(local_device, 403)
    for number in (1, 2, 3):
        assert local_device.run(RENEW).exit == 1
        left = left_by(local_device)
        assert left.attempts == number
        # A thirtieth of ten days, and a fifth of that.
        assert 1.6 * HOUR_S - 60 <= left.next_attempt_s - left.at_s < 8 * HOUR_S
    local_device.tenant.clear_faults()
    assert local_device.run(RENEW).exit == 0
    assert local_device.run("tedge-cert-verify c8y").exit == 0
    left = left_by(local_device)
    assert (left.result, left.step, left.attempts, left.next_attempt_s) == ("renewed", "verify", 0, 0)
    assert left.succeeded_s == left.at_s >= int(time.time()) - 60
    assert [each.result for each in left.renewals] == ["renewed", *["request-refused"] * 3]
    assert [bool(each.reason) for each in left.renewals] == [False, True, True, True]
    assert (left.renewals[0].serial, left.renewals[0].at_s) == (left.serial, left.at_s)
    assert int(left.serial, 16) == int(serial_of(local_device.certificate) or "")


def test_a_rejected_candidate_is_a_failed_attempt(local_device: LocalDevice, mocker: MockerFixture) -> None:
    hurry(mocker)
    certify(local_device)
    issue(local_device, name="another-device")
    assert connected.outcome(lambda: recipes.verify(instance_of(local_device)))[0] == 3
    left = left_by(local_device)
    assert (left.result, left.step, left.attempts) == ("candidate-rejected", "verify", 1)
    assert left.next_attempt_s > time.time()


def test_a_certificate_of_another_key_is_known_to_be_that(local_device: LocalDevice) -> None:
    certify(local_device)
    connected.key_file(local_device).unlink()
    assert local_device.run(RENEW).exit == 1
    left = left_by(local_device)
    assert (left.result, left.key_fits, left.next_attempt_s) == ("certificate-unusable", False, 0)
    assert left.looked_at_s == left.at_s


def test_a_threshold_too_long_is_reported_once(local_device: LocalDevice) -> None:
    """A threshold of 400 days: one renewal, one warning, and no more until a third of the new life is left."""
    local_device.tenant.settings(lifetime_s=90 * DAY_S)
    certify(local_device, days=60)
    configure(local_device, "[c8y]\n", '[certificate.validity]\nminimum_duration = "400d"\n[c8y]\n')
    assert local_device.run(CONDITION).exit == 0
    assert local_device.run(RENEW).exit == 0
    verified = local_device.run("tedge-cert-verify c8y")
    assert verified.exit == 0
    warning = [line for line in verified.stderr.splitlines() if line.startswith("warning: certificate.validity")]
    assert len(warning) == 1
    assert "minimum_duration (400d) is no shorter than what certificates are granted" in warning[0]
    assert left_by(local_device).result == "renewed"
    active = serial_of(local_device.certificate)
    for words in (CONDITION, RENEW, "tedge-cert-verify c8y"):
        result = local_device.run(words)
        assert (result.exit, "warning" in result.stderr) == (1 if words == CONDITION else 0, False)
    assert (serial_of(local_device.certificate), local_device.candidate.exists()) == (active, False)


@pytest.mark.parametrize("command", ["tedge-cert-remove", "tedge-cert-create --device-id d", "tedge-cert-download c8y"])
def test_a_new_certificate_has_no_previous_attempts(local_device: LocalDevice, command: str) -> None:
    path = instance_of(local_device).state_file
    state.save(path, State(attempts=3, result="no-answer"))
    if "download" in command:
        assert local_device.register().exit == 0
    else:
        assert local_device.run(command).exit == 0
    assert not path.exists()


def test_a_state_that_cannot_be_kept_fails_no_renewal(local_device: LocalDevice) -> None:
    certify(local_device)
    new = issue(local_device)
    instance_of(local_device).state_file.parent.write_text("in the way")
    result = local_device.run("tedge-cert-verify c8y")
    assert (result.exit, serial_of(local_device.certificate)) == (0, new)
    assert "warning: the result of this run is not kept: " in result.stderr
