# SPDX-License-Identifier: Apache-2.0
"""What `tedge cert status --online` examines: each check with its cure, none without an end."""

import io
import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

import jsonschema
import pytest
from pytest_mock import MockerFixture

from tedge_cert.net import resolver
from tedge_cert.net.https import Limits
from tedge_cert.status import doctor
from tedge_cert.status.document import document_of
from tedge_cert.status.facts import Check, Facts
from tedge_cert.status.gather import gather
from tedge_cert.status.text import text_of
from tedge_cert.status.verdict import ATTENTION, problems
from tedge_cert.tenant import proof
from tedge_cert.terminal import mark
from unit.connected import behind, certify, configure, configure_bridge, connect, instance_of
from unit.local_device import LocalDevice
from unit.status.test_shown import SCHEMA
from unit.statuses import facts

silences: list[socket.socket] = []


@pytest.fixture(autouse=True)
def in_a_hurry(mocker: MockerFixture) -> Iterator[None]:
    mocker.patch.multiple(doctor, NAME_S=1.0, TLS_S=1.0, REQUEST=Limits(1.0, 1.0, 2.0, 65_536))
    mocker.patch.object(proof, "REFUSAL_S", 0.5)
    yield
    while silences:
        silences.pop().close()


def examined(device: LocalDevice) -> dict[str, Check]:
    """The checks of a device by name; of several with one name the worst."""
    found: Facts = gather(instance_of(device), online=True)
    assert found.checks is not None
    return {each.name: each for each in sorted(found.checks, key=lambda each: each.is_good is not False, reverse=True)}


def test_nothing_is_wrong_with_a_connected_device(local_device: LocalDevice) -> None:
    certify(local_device, days=90)
    connect(local_device)
    configure_bridge(local_device)
    result = local_device.run("tedge-cert-status --online")
    assert result.exit == 0
    mqtt = f"127.0.0.1:{local_device.tenant.mqtt_port}"
    shown = [line.strip() for line in result.stdout.splitlines() if line.strip()[:1] in "✓✗-"]
    assert f"✓ {mqtt} speaks TLS with our certificate" in shown
    assert f"✓ 127.0.0.1:{local_device.tenant.http_port} answers over TLS" in shown
    assert {"✓ the local broker answers", "✓ the bridge is connected"} < set(shown)
    assert not [line for line in shown if line.startswith("✗")]
    document = json.loads(local_device.run("tedge-cert-status --online --json").stdout)
    jsonschema.validate(document, SCHEMA)
    assert [each["good"] for each in document["instances"][0]["checks"] if each["name"] != "token"] == [True] * 7


def no_name(_: LocalDevice, mocker: MockerFixture) -> None:
    error = socket.gaierror(-2, "Name or service not known")
    mocker.patch.object(resolver, "_getaddrinfo", side_effect=error)


def no_tenant(device: LocalDevice, _: MockerFixture) -> None:
    configure(device, f'http = "127.0.0.1:{device.tenant.http_port}"', 'http = "127.0.0.1:1"')


def refused(device: LocalDevice, _: MockerFixture) -> None:
    device.tenant.fault(where="mqtt", do="tls-unknown-ca")


def silent(device: LocalDevice, _: MockerFixture) -> None:
    """A port that takes connections and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    silences.append(listener)
    configure(
        device, f'mqtt = "127.0.0.1:{device.tenant.mqtt_port}"', f'mqtt = "127.0.0.1:{listener.getsockname()[1]}"'
    )


def slow_clock(_: LocalDevice, mocker: MockerFixture) -> None:
    behind(mocker, 3_630)


def full(_: LocalDevice, mocker: MockerFixture) -> None:
    shown = SimpleNamespace(f_bavail=0, f_frsize=4096, f_files=9, f_favail=9, f_flag=0)
    mocker.patch.object(os, "statvfs", return_value=shown)


def read_only(_: LocalDevice, mocker: MockerFixture) -> None:
    shown = SimpleNamespace(f_bavail=9_999, f_frsize=4096, f_files=9, f_favail=9, f_flag=os.ST_RDONLY)
    mocker.patch.object(os, "statvfs", return_value=shown)


@pytest.mark.parametrize(
    ("spoil", "name", "said", "cure"),
    [
        (no_tenant, "https", "no answer from https://127.0.0.1:1/", "tedge config get c8y.http"),
        (refused, "mqtt", "refused the certificate (TLS alert: ", "tedge config get c8y.mqtt"),
        (silent, "mqtt", "no answer from 127.0.0.1:", "tedge config get c8y.mqtt"),
        (slow_clock, "clock", "the clock is 1h ", doctor.CLOCK_CURE),
        (full, "disk", "files free: too little for a renewal", "df -h "),
        (read_only, "disk", "is on a read-only file system", "findmnt -T "),
    ],
)
def test_each_fault_is_found_and_has_its_cure(
    local_device: LocalDevice,
    mocker: MockerFixture,
    spoil: Callable[[LocalDevice, MockerFixture], None],
    name: str,
    said: str,
    cure: str,
) -> None:
    certify(local_device, days=90)
    spoil(local_device, mocker)
    found = examined(local_device)
    assert found[name].is_good is False
    assert said in found[name].said
    assert found[name].cure.startswith(cure)


def test_without_its_name_nothing_else_of_a_server_is_tried(local_device: LocalDevice, mocker: MockerFixture) -> None:
    certify(local_device, days=90)
    for line in ("http", "mqtt"):
        port = vars(local_device.tenant)[f"{line}_port"]
        configure(local_device, f'{line} = "127.0.0.1:{port}"', f'{line} = "nowhere.test:{port}"')
    no_name(local_device, mocker)
    found = examined(local_device)
    assert found["name"].said == "no address is found for nowhere.test: Name or service not known"
    assert found["name"].cure == "getent hosts nowhere.test"
    assert (found["https"].is_good, found["mqtt"].is_good) == (None, None)


def test_an_expired_certificate_is_shown_to_no_server(local_device: LocalDevice) -> None:
    certify(local_device, days=-1)
    assert examined(local_device)["mqtt"].said == "not tried: the certificate is not valid now"


def test_a_failed_check_is_a_problem_and_its_reason_is_said_once() -> None:
    failed = Check("disk", "/var/lib/x", False, "/var/lib/x is on a read-only file system", "findmnt -T /var/lib/x")
    broker = Check("broker", "mosquitto", False, "the local broker does not answer")
    found = facts(checks=(Check("https", "tenant.test:443", True, "tenant.test:443 answers over TLS"), failed, broker))
    told = problems(found)
    assert [(each.rank, each.what, each.cure) for each in told] == [(ATTENTION, failed.said, failed.cure)]
    text = text_of(found, told)
    assert text.count(failed.said) == 1
    assert "✗ disk at /var/lib/x, see above" in text
    jsonschema.validate(json.loads(document_of([(found, told)])), SCHEMA)


def test_the_cure_of_a_clock_is_the_one_that_works_here() -> None:
    failed = Check("clock", "tenant.test", False, "the clock is 1h behind that of tenant.test", doctor.CLOCK_CURE)
    for timekeeper, cure in (
        ("off", "sudo timedatectl set-ntp true"),
        ("on", "timedatectl status"),
        ("missing", "sudo apt install systemd-timesyncd"),
        ("container", "set the clock of the machine that runs this container"),
        ("", "sudo date --utc --set 'YYYY-MM-DD hh:mm'"),
    ):
        found = replace(facts(checks=(failed,)), timekeeper=timekeeper)
        assert [each.cure for each in problems(found)] == [cure]


@pytest.mark.parametrize(("encoding", "marks"), [("utf-8", "✓ ✗ -"), ("iso-8859-1", "ok no -")])
def test_a_mark_is_printed_on_every_terminal(monkeypatch: pytest.MonkeyPatch, encoding: str, marks: str) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    assert " ".join(mark(each) for each in (True, False, None)) == marks
