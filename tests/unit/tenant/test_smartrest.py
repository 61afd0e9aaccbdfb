# SPDX-License-Identifier: Apache-2.0
"""SmartREST: fields as the tenant reads them, and questions through a real bridge."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tedge_cert.bridge.health import Bridge
from tedge_cert.errors import NoAnswerError
from tedge_cert.tenant import smartrest
from tedge_cert.tenant.smartrest import message
from unit.connected import broker_of
from unit.local_client import HEALTH, Local
from unit.local_device import LocalDevice


def test_plain_values_are_as_they_are() -> None:
    assert message("306", "c8y_CertificateRenewalFailed") == "306,c8y_CertificateRenewalFailed"


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("a, b", '"a, b"'),
        ('said "no"', '"said ""no"""'),
        (" blank", '" blank"'),
        ("two\nlines\tand\x1bmore", "two lines and more"),
        ("", ""),
    ],
)
def test_others_are_quoted(value: str, field: str) -> None:
    assert message("302", "t", value) == f"302,t,{field}"


@given(st.text(), st.text())
def test_whatever_a_value_holds_it_is_one_message_of_as_many_fields(first: str, second: str) -> None:
    line = message("302", first, second)
    assert line.isprintable()
    assert [len(row) for row in csv.reader([line])] == [3]


def test_a_long_reason_is_cut() -> None:
    assert len(message("302", "x" * 20_000)) < 1_100


def test_a_token(bridge_device: LocalDevice) -> None:
    with Bridge(broker_of(bridge_device)) as bridge:
        first, second = smartrest.token_through(bridge), smartrest.token_through(bridge)
        assert first.count(".") == second.count(".") == 2
        assert first != second
        bridge_device.tenant.fault(where="token", do="late", delay_s=0.2, times=1)
        assert smartrest.token_through(bridge) not in (first, second)


def test_a_token_that_is_lost_is_asked_for_again(bridge_device: LocalDevice) -> None:
    bridge_device.tenant.fault(where="token", do="silence", times=1)
    with Bridge(broker_of(bridge_device)) as bridge:
        assert smartrest.token_through(bridge)


def test_no_answer_of_before_is_taken(bridge_device: LocalDevice) -> None:
    """Another program on the device may have asked; its answer, or an empty one, is not ours."""
    bridge_device.tenant.fault(where="token", do="silence")
    with Bridge(broker_of(bridge_device)) as bridge, Local(bridge_device) as local:
        local.client.publish("c8y/s/dat", "71,of.another.client", qos=1, retain=True).wait_for_publish()
        for words in ("72,other", "71,", "41,error"):
            local.client.publish("c8y/s/dat", words, qos=1).wait_for_publish()
        # The broker delivers in order, so the answers have come when this has.
        local.client.publish(HEALTH, "0", qos=1).wait_for_publish()
        assert bridge.wait_for_fall(0, 5)
        with pytest.raises(NoAnswerError, match=r"no token came through the bridge within 1 s of asking on c8y/s/uat"):
            smartrest.token_through(bridge)
        local.client.publish("c8y/s/dat", b"", qos=1, retain=True).wait_for_publish()
