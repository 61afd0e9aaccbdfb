# SPDX-License-Identifier: Apache-2.0
"""How the end of a run is reported: the fields of an event, and the order of line, event and alarm."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert import events
from tedge_cert.errors import NoAnswerError, RolledBackError
from tedge_cert.events import Event
from tedge_cert.steps import needs_renewal, outcome
from unit import recipes
from unit.connected import certify, instance_of, serial_of
from unit.local_device import LocalDevice


@pytest.fixture
def sent(mocker: MockerFixture) -> list[tuple[str, dict[str, str]]]:
    """The events that a configuration of the system would send."""
    found: list[tuple[str, dict[str, str]]] = []

    def send(event: Event, fields: dict[str, str]) -> None:
        found.append((event.name, fields))

    mocker.patch.object(events, "send", send)
    mocker.patch.object(outcome, "tell_fleet")
    mocker.patch("tedge_cert.config.settings.Config.is_of_system", True)
    mocker.patch("tedge_cert.device.instance.Instance.state_file", Path("/nonexistent/c8y.json"))
    return found


def test_the_fields_of_an_event(local_device: LocalDevice, sent: list[tuple[str, dict[str, str]]]) -> None:
    certify(local_device)
    serial = f"{int(serial_of(local_device.certificate) or ''):x}"
    with pytest.raises(RolledBackError), outcome.reported("verify", instance_of(local_device)):
        raise RolledBackError("it did not hold")
    [(name, fields)] = sent
    assert name == "rolled-back"
    shown = {key: fields[key] for key in ("TEDGE_CLOUD", "TEDGE_PROFILE", "TEDGE_DEVICE_ID", "TEDGE_INSTANCE")}
    assert list(shown.values()) == ["c8y", "", local_device.device_id, "c8y"]
    assert (fields["CERT_SERIAL"], fields["RENEWAL_STEP"], fields["RENEWAL_RESULT"]) == (
        serial,
        "verify",
        "rolled-back",
    )
    assert fields["RENEWAL_UNIT"] == "tedge-cert-renewer@c8y.service"
    for field in ("CERT_NOT_AFTER", "NEXT_ATTEMPT"):
        assert time.strptime(fields[field], "%Y-%m-%dT%H:%M:%SZ")


def test_the_line_comes_before_the_event(
    local_device: LocalDevice, mocker: MockerFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    certify(local_device)
    mocker.patch("tedge_cert.config.settings.Config.is_of_system", True)
    mocker.patch("tedge_cert.device.instance.Instance.state_file", local_device.directory / "c8y.json")
    mocker.patch.object(outcome, "tell_fleet", side_effect=lambda _: print("the fleet", flush=True))
    mocker.patch.object(events, "send", side_effect=lambda *_: print("the event", flush=True))
    with pytest.raises(NoAnswerError), outcome.reported("renew", instance_of(local_device)):
        raise NoAnswerError("no server there")
    kept: dict[str, Any] = json.loads((local_device.directory / "c8y.json").read_text())
    assert kept["reason"] == "no server there"
    assert capfd.readouterr() == ("the event\nthe fleet\n", "error: no server there\n")


def test_a_trial_elsewhere_says_nothing_to_the_journal(local_device: LocalDevice, mocker: MockerFixture) -> None:
    certify(local_device)
    send = mocker.patch.object(events, "send")
    with pytest.raises(NoAnswerError), outcome.reported("renew", instance_of(local_device)):
        raise NoAnswerError("no server there")
    send.assert_not_called()


@pytest.mark.parametrize("error", [RecursionError("too deep"), MemoryError(), KeyError("x")])
def test_an_unforeseen_error_is_reported_and_raised(
    local_device: LocalDevice, sent: list[tuple[str, dict[str, str]]], mocker: MockerFixture, error: Exception
) -> None:
    """The cause may be the certificate itself, so the report does not parse it again."""
    certify(local_device)
    mocker.patch("tedge_cert.device.instance.Instance.state_file", local_device.directory / "c8y.json")
    mocker.patch("tedge_cert.x509.certificate.load", side_effect=error)
    with pytest.raises(type(error)):
        recipes.renew(instance_of(local_device), None, by_unit=True)
    [(name, fields)] = sent
    kept: dict[str, Any] = json.loads((local_device.directory / "c8y.json").read_text())
    assert (name, kept["result"], kept["attempts"]) == ("step-failed", "step-failed", 1)
    assert type(error).__name__ in fields["RENEWAL_REASON"] == kept["reason"]
    assert kept["next_attempt_s"] > time.time() + 3_600


def test_the_condition_reports_an_unforeseen_error(
    local_device: LocalDevice, sent: list[tuple[str, dict[str, str]]], mocker: MockerFixture
) -> None:
    certify(local_device)
    mocker.patch("tedge_cert.steps.needs_renewal.read_validity", side_effect=RecursionError("too deep"))
    question = needs_renewal.parse(["--systemd", "c8y", "--config-dir", str(local_device.directory)])
    assert question is not None
    with pytest.raises(RecursionError):
        needs_renewal.full_check(question)
    assert [name for name, _ in sent] == ["step-failed"]


@pytest.mark.parametrize("cloud", ["c8y", ""])
def test_the_unit_is_named_whether_the_cloud_was_or_not(
    local_device: LocalDevice, sent: list[tuple[str, dict[str, str]]], cloud: str
) -> None:
    certify(local_device)
    with pytest.raises(NoAnswerError), outcome.reported("verify", replace(instance_of(local_device), cloud=cloud)):
        raise NoAnswerError("no server there")
    assert sent[0][1]["RENEWAL_UNIT"] == "tedge-cert-renewer@c8y.service"


def test_a_device_whose_certificate_cannot_be_read_is_spoken_of(
    local_device: LocalDevice, sent: list[tuple[str, dict[str, str]]]
) -> None:
    with pytest.raises(NoAnswerError), outcome.reported("verify", instance_of(local_device)):
        raise NoAnswerError("no server there")
    [(_, fields)] = sent
    assert (fields["TEDGE_DEVICE_ID"], fields["CERT_SERIAL"]) == ("this device", "unknown")
