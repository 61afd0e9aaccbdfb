# SPDX-License-Identifier: Apache-2.0
"""Alarm, event and status after a run, through a real broker and its bridge."""

import json
import time
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
import requests
from cryptography import x509
from pytest_mock import MockerFixture

from tedge_cert.device.state import State
from tedge_cert.hourly.validity import Validity
from tedge_cert.steps.outcome import tell_fleet
from tedge_cert.tenant import alarm
from tedge_cert.tenant.alarm import TWIN, Report, news_of
from unit.certificates import DAY_S, NOW_S
from unit.connected import certify, connect, freeze, instance_of, serial_of, thaw
from unit.local_client import Local
from unit.local_device import LocalDevice
from unit.status.test_shown import SCHEMA

ALARM = "c8y_CertificateRenewalFailed"


def name(text: str) -> bytes:
    """Return a distinguished name in DER, without its header."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]).public_bytes()[2:]


ACTIVE = Validity(NOW_S - 100 * DAY_S, 1_818_331_200, "1234", name("device-1"), name("the tenant"))
RENEWED = State(result="renewed", reason="confirmed: it is in use", at_s=NOW_S, succeeded_s=NOW_S)
FAILING = State(result="request-refused", reason="tenant.test answered 503: try later", at_s=NOW_S, attempts=3)


def report(last: State = RENEWED, left_s: int | None = 200 * DAY_S) -> Report:
    """What a run left on a device with a threshold of 30 days, ``left_s`` before its certificate expires."""
    if left_s is None:
        return Report("c8y", "", NOW_S, 30 * DAY_S, last)
    return Report("c8y", "", ACTIVE.not_after_s - left_s, 30 * DAY_S, last, ACTIVE)


def test_an_alarm_needs_failures_and_little_time() -> None:
    assert not any(ALARM in each.payload for each in news_of(report(), False))
    assert not any(ALARM in each.payload for each in news_of(report(FAILING, 20 * DAY_S), False))
    late = news_of(report(FAILING, 9 * DAY_S), True)[0]
    assert late.topic == "s/us"
    assert late.payload.startswith(f"302,{ALARM},")
    assert "expires in 9d, and 3 attempts to renew it have failed: tenant.test answered 503" in late.payload
    once = news_of(report(replace(FAILING, attempts=1), 9 * DAY_S), True)[0]
    assert "and 1 attempt to renew it has failed: " in once.payload
    assert "expires in 0s" in news_of(report(FAILING, -DAY_S), True)[0].payload
    waiting = replace(FAILING, result="waits-for-approval", reason="est.test answered 202 Accepted")
    assert not any(ALARM in each.payload for each in news_of(report(waiting, 20 * DAY_S), False))
    told = news_of(report(waiting, 9 * DAY_S), False)[0].payload
    assert "expires in 9d, and its renewal still waits for approval: est.test answered 202" in told


def test_an_alarm_that_was_raised_is_cleared_once_it_is_over() -> None:
    assert news_of(report(), True)[0].payload == f"306,{ALARM}"


def test_a_renewal_is_an_event_and_the_certificate_a_fragment_of_the_device() -> None:
    event, twin = news_of(report(), False)
    assert (
        event.payload
        == '400,c8y_CertificateRenewed,"Certificate renewed: serial 1234, valid until 2027-08-15T12:00:00Z"'
    )
    assert twin.topic == "inventory/managedObjects/update/device-1"
    assert json.loads(twin.payload)[TWIN] == {
        "issuer": "CN=the tenant",
        "serial": "1234",
        "notAfter": "2027-08-15T12:00:00Z",
    }


def test_a_device_without_certificate_has_nothing_to_tell_of_one() -> None:
    assert news_of(report(State(), None), False) == []


def left(device: LocalDevice, **state: Any) -> None:
    """What the last run left."""
    file = instance_of(device).state_file
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"version": 1, **state}))


def rest(device: LocalDevice, path: str) -> Any:
    """Return the alarms and events that the operator sees."""
    url = f"https://127.0.0.1:{device.tenant.http_port}{path}"
    return requests.get(url, auth=("admin", "secret"), verify=str(device.tenant.server_ca), timeout=10).json()


def managed_object(device: LocalDevice) -> dict[str, Any]:
    number = rest(device, f"/identity/externalIds/c8y_Serial/{device.device_id}")["managedObject"]["id"]
    found: dict[str, Any] = rest(device, f"/inventory/managedObjects/{number}")
    return found


def alarms(device: LocalDevice) -> list[str]:
    number = managed_object(device)["id"]
    return [each["status"] for each in rest(device, f"/alarm/alarms?source={number}&type={ALARM}")["alarms"]]


def online(device: LocalDevice, days: float) -> None:
    """A device with so many days left, which the tenant knows."""
    certify(device, days=days)
    connect(device)
    with Local(device) as local:
        local.client.publish("c8y/s/us", f"100,{device.device_id},thin-edge.io", 1).wait_for_publish(10)
    device.tenant.wait_messages(device.device_id, topic="s/us")


def raise_alarm(device: LocalDevice, reason: str) -> None:
    """Few days are left, and the renewal has failed again and again for this reason."""
    online(device, days=5)
    left(device, result="request-refused", reason=reason, attempts=4)
    tell_fleet(instance_of(device))
    device.tenant.wait_messages(device.device_id, count=3)
    assert alarms(device) == ["ACTIVE"]


def test_the_operator_sees_the_alarm_come_and_go(local_device: LocalDevice) -> None:
    raise_alarm(local_device, 'answered "503", twice')
    serial = managed_object(local_device)[TWIN]["serial"]
    assert int(serial, 16) == int(serial_of(local_device.certificate) or "")
    left(local_device, result="renewed")
    tell_fleet(instance_of(local_device))
    messages = local_device.tenant.wait_messages(local_device.device_id, count=6)
    assert alarms(local_device) == ["CLEARED"]
    assert [each["payload"].split(",")[0] for each in messages if each["topic"] == "s/us"] == [
        "100",
        "302",
        "306",
        "400",
    ]
    # There is nothing left to clear.
    tell_fleet(instance_of(local_device))
    messages = local_device.tenant.wait_messages(local_device.device_id, count=8)
    assert [each["payload"].split(",")[0] for each in messages if each["topic"] == "s/us"][-1] == "400"


def test_the_local_broker_keeps_the_status(local_device: LocalDevice) -> None:
    certify(local_device, days=90)
    connect(local_device)
    left(local_device, result="renewed", at_s=1)
    tell_fleet(instance_of(local_device))
    topic = "te/device/main///cert/c8y/status"
    with Local(local_device) as local:
        kept: list[Any] = []
        local.client.message_callback_add(topic, lambda _c, _d, message: kept.append(message))
        local.client.subscribe(topic, 1)
        deadline_s = time.monotonic() + 10
        while not kept:
            assert time.monotonic() < deadline_s, "there is no retained status"
            time.sleep(0.05)
    document = json.loads(kept[0].payload)
    assert kept[0].retain
    instance = SCHEMA["$defs"]["instance"]["properties"]
    # It has less than the screen's document: of the last run and the bridge too.
    known = {name: {**instance[name], "required": []} for name in document}
    jsonschema.validate(document, {"type": "object", "properties": known, "$defs": SCHEMA["$defs"]})
    assert document["bridge"]["up"] is True
    assert document["last"]["result"] == "renewed"


def test_no_broker_is_one_line_and_no_error(local_device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    certify(local_device, days=90)
    tell_fleet(instance_of(local_device))
    assert "this run was not reported" in capsys.readouterr().err


def test_a_broker_that_hangs_is_not_waited_for_long(
    local_device: LocalDevice, capsys: pytest.CaptureFixture[str], mocker: MockerFixture
) -> None:
    certify(local_device, days=90)
    connect(local_device)
    mocker.patch.object(alarm, "LIMIT_S", 1.0)
    freeze(local_device)
    began_s = time.monotonic()
    try:
        tell_fleet(instance_of(local_device))
    finally:
        thaw(local_device)
    assert time.monotonic() - began_s < 10
    assert "this run was not reported" in capsys.readouterr().err


def test_a_configuration_that_is_broken_is_no_error_either(
    local_device: LocalDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    file = local_device.directory / "tedge.toml"
    file.write_text(file.read_text().replace(f"port = {local_device.port}", 'port = "no"'))
    tell_fleet(instance_of(local_device))
    assert "this run was not reported" in capsys.readouterr().err
