# SPDX-License-Identifier: Apache-2.0
"""After the promotion: events that confirm the new certificate, restore the previous one, or decide nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.steps import verify as verification
from tedge_cert.steps.switch import Switch
from unit import recipes
from unit.certificates import make_for
from unit.connected import (
    after,
    before,
    digest,
    freeze,
    hurry,
    instance_of,
    issue,
    rejected,
    serials,
    thaw,
)
from unit.local_device import LocalDevice
from unit.switching import refuse, verify

DAY_S = 86_400


def age(device: LocalDevice, path: Path) -> None:
    """Replace a certificate of this device by an expired one."""
    issue(device, path, days=-1, not_before_offset_s=-2 * DAY_S)


@pytest.mark.parametrize("fault", [{}, {"do": "tls-unknown-ca"}, {"do": "close-after-connack"}])
def test_refused_after_the_proof(bridged: LocalDevice, mocker: MockerFixture, fault: dict[str, Any]) -> None:
    hurry(mocker, BRIDGE_WAIT_S=4.0)
    old = serials(bridged)[0]
    new = issue(bridged)
    before(mocker, Switch, "promote", lambda: refuse(bridged, new, **fault))
    code, said = verify(bridged)
    assert (code, serials(bridged)) == (3, (old, None, None))
    assert "the previous certificate is active again" in said
    bridged.tenant.wait_connected(bridged.device_id, serial=old)


@pytest.mark.parametrize("way_back", ["the bridge returns", "it does not"])
def test_accepted_but_the_bridge_stays_away(
    bridged: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str], way_back: str
) -> None:
    hurry(mocker, BRIDGE_WAIT_S=4.0, SETTLE_S=0.5)
    old = serials(bridged)[0]
    new = issue(bridged)
    after(mocker, Switch, "promote", lambda: freeze(bridged))
    if way_back == "the bridge returns":
        after(mocker, Switch, "put_back", lambda: thaw(bridged))
        code, said = verify(bridged)
        assert (code, serials(bridged)) == (3, (old, new, None))
        assert "stays away; it is back with the previous certificate" in said
        assert rejected(bridged) == digest(bridged.candidate)
        bridged.tenant.wait_connected(bridged.device_id, serial=old)
        recipes.clean_up(instance_of(bridged))
        assert serials(bridged) == (old, None, None)
    else:
        assert (verify(bridged), serials(bridged)) == ((0, ""), (new, None, None))
        assert rejected(bridged) is None
        assert "stays away with the previous certificate too" in capsys.readouterr().err
        thaw(bridged)
        bridged.tenant.wait_connected(bridged.device_id, serial=new)


def test_a_broker_that_hangs_is_no_connected_bridge(
    bridged: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its last message said that the bridge was up, and it reports no fall."""
    hurry(mocker, BRIDGE_WAIT_S=1.0, SETTLE_S=0.5)
    new = issue(bridged)
    before(mocker, verification, "prove", lambda: freeze(bridged))
    assert (verify(bridged), serials(bridged)) == ((0, ""), (new, None, None))
    said = capsys.readouterr().err
    assert "confirmed: the bridge is connected" not in said
    assert "stays away with the previous certificate too" in said


@pytest.mark.parametrize("fault", [{"do": "connack", "code": 3}, {"do": "reset"}])
def test_no_answer_after_the_promotion(bridged: LocalDevice, mocker: MockerFixture, fault: dict[str, Any]) -> None:
    hurry(mocker, BRIDGE_WAIT_S=2.0)
    old = serials(bridged)[0]
    new = issue(bridged)
    before(mocker, Switch, "promote", lambda: bridged.tenant.fault(where="mqtt", serials=[new], **fault))
    code, said = verify(bridged)
    assert (code, serials(bridged)) == (1, (new, None, old))
    assert f"{bridged.certificate} and {bridged.previous} both stay" in said
    recipes.clean_up(instance_of(bridged))
    bridged.tenant.clear_faults()
    hurry(mocker)
    assert (verify(bridged), serials(bridged)) == ((0, ""), (new, None, None))
    bridged.tenant.wait_connected(bridged.device_id, serial=new)


def garbage(device: LocalDevice) -> None:
    device.previous.write_bytes(b"garbage")


def of_another_key(device: LocalDevice) -> None:
    device.previous.write_bytes(make_for(90, name=device.device_id).pem)


@pytest.mark.parametrize("spoil", [garbage, of_another_key, lambda d: age(d, d.previous)])
@pytest.mark.parametrize("refused", [True, False])
def test_a_previous_that_cannot_go_back(
    bridged: LocalDevice, mocker: MockerFixture, spoil: Callable[[LocalDevice], object], refused: bool
) -> None:
    hurry(mocker, BRIDGE_WAIT_S=1.0, SETTLE_S=0.5)
    new = issue(bridged)
    after(mocker, Switch, "promote", lambda: spoil(bridged))
    if refused:
        before(mocker, Switch, "promote", lambda: refuse(bridged, new))
        code, said = verify(bridged)
        assert code == 1
        assert "certificate unusable: " in said
        assert str(bridged.previous) in said
        assert bridged.previous.exists()
    else:
        before(mocker, verification, "prove", lambda: freeze(bridged))
        assert (verify(bridged), serials(bridged)) == ((0, ""), (new, None, None))
    assert bridged.certificate.read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert not bridged.candidate.exists()
