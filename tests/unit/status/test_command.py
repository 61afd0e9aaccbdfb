# SPDX-License-Identifier: Apache-2.0
"""`tedge cert status` as it is typed, on devices in a directory."""

import json
import ssl
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.device.instance import load_instance
from tedge_cert.status.gather import gather
from tedge_cert.x509 import provider
from unit.certificates import key_pem, new_key
from unit.children import run_here
from unit.connected import certify, configure, configure_bridge, connect, instance_of, issue, key_file
from unit.local_device import LocalDevice


def status(device: LocalDevice, words: str = "") -> tuple[int, dict[str, Any]]:
    """Exit code and document."""
    result = run_here(["tedge-cert-status", "--json", *words.split()], device.directory)
    assert result.stderr == ""
    return result.exit, json.loads(result.stdout)


def only(document: dict[str, Any]) -> dict[str, Any]:
    instance: dict[str, Any] = document["instances"][0]
    assert len(document["instances"]) == 1
    return instance


def cures(instance: dict[str, Any]) -> list[str]:
    return [each["cure"] for each in instance["problems"]]


def test_a_connected_device_is_healthy(local_device: LocalDevice) -> None:
    certify(local_device, days=90)
    connect(local_device)
    # The broker has the shorter pauses of the tests.
    configure_bridge(local_device)
    code, document = status(local_device)
    assert (code, only(document)["problems"]) == (0, [])
    found = only(document)
    assert found["device_id"] == local_device.device_id
    assert (found["bridge"]["configured"], found["bridge"]["up"]) == (True, True)
    assert found["key"]["fits"] is True
    # This configuration is not that of the system, so the system's units are not its units.
    assert found["timer"] is None
    shown = local_device.run("tedge-cert-status")
    assert shown.exit == 0
    assert f"Device id:     {local_device.device_id}\n" in shown.stdout
    local_device.stop_broker()
    code, document = status(local_device)
    assert (code, cures(only(document))) == (1, ["systemctl status mosquitto.service"])


def test_a_bridge_with_other_settings_is_no_healthy_one(local_device: LocalDevice) -> None:
    certify(local_device, days=90)
    configure_bridge(local_device)
    assert only(status(local_device)[1])["bridge"]["differences"] == []
    mqtt = f"127.0.0.1:{local_device.tenant.mqtt_port}"
    configure(local_device, f'mqtt = "{mqtt}"', 'mqtt = "127.0.0.1:8884"')
    certify(local_device, days=90, name="another-device")
    code, document = status(local_device)
    problem = only(document)["problems"][0]
    assert (code, problem["cure"]) == (1, "sudo tedge reconnect c8y")
    assert f"address {mqtt} instead of 127.0.0.1:8884" in problem["what"]
    assert f"remote_clientid {local_device.device_id} instead of another-device" in problem["what"]


@pytest.mark.parametrize(("openssl", "is_told"), [((3, 0, 15, 0, 0), False), ((3, 5, 4, 0, 0), True)])
def test_a_debian_that_was_upgraded_needs_another_configuration_of_openssl(
    local_device: LocalDevice, mocker: MockerFixture, openssl: tuple[int, ...], is_told: bool
) -> None:
    """Where it prefers the TPM for every key, later versions than OpenSSL 3.0 fail with keys in files."""
    mocker.patch.object(ssl, "OPENSSL_VERSION_INFO", openssl)
    certify(local_device, days=90)
    configure_bridge(local_device)
    text = provider.configuration_text(is_first_version=True, tpm=True, module="")
    (local_device.directory / provider.CONFIGURATION).write_text(text)
    assert gather(instance_of(local_device), online=False).bridge.prefers_tpm is is_told


def test_without_a_certificate_the_cure_is_a_registration(local_device: LocalDevice) -> None:
    code, document = status(local_device)
    assert code == 2
    assert cures(only(document)) == ["sudo tedge cert download c8y", "sudo tedge connect c8y"]


def test_a_key_of_another_certificate_is_broken(local_device: LocalDevice) -> None:
    certify(local_device, days=90)
    key_file(local_device).write_bytes(key_pem(new_key()))
    code, document = status(local_device)
    assert code == 2
    assert only(document)["key"]["fits"] is False


def test_candidate_and_previous_are_seen(local_device: LocalDevice) -> None:
    certify(local_device, days=90)
    serial = issue(local_device)
    code, document = status(local_device)
    assert code == 1
    assert int(only(document)["candidate"]["serial"], 16) == int(serial)
    assert only(document)["previous"] is None
    issue(local_device, local_device.previous)
    assert only(status(local_device)[1])["previous"]["path"] == str(local_device.previous)


def test_the_tenant_is_asked_only_on_request(local_device: LocalDevice) -> None:
    certify(local_device, days=90)
    assert only(status(local_device)[1])["tenant"]["reachable"] is None
    before = len(local_device.tenant.state()["requests"])
    assert only(status(local_device, "--online")[1])["tenant"]["reachable"] is True
    assert len(local_device.tenant.state()["requests"]) >= before
    configure(local_device, f'http = "127.0.0.1:{local_device.tenant.http_port}"', 'http = "127.0.0.1:1"')
    code, document = status(local_device, "--online")
    assert (code, only(document)["tenant"]["reachable"]) == (1, False)


def test_every_profile_that_is_set_up_is_shown_and_one_alone_if_asked(local_device: LocalDevice) -> None:
    certify(local_device, days=90)
    with (local_device.directory / "tedge.toml").open("a") as file:
        file.write('[c8y.profiles.second]\nurl = "second.test"\n')
    names = [each["name"] for each in status(local_device)[1]["instances"]]
    assert names == ["c8y", "c8y@second"]
    assert only(status(local_device, "c8y --profile second")[1])["profile"] == "second"
    assert only(status(local_device, "c8y")[1])["profile"] == ""


def test_a_line_for_each_profile(local_device: LocalDevice) -> None:
    certify(local_device, days=90.5)
    with (local_device.directory / "tedge.toml").open("a") as file:
        file.write('[c8y.profiles.second]\nurl = "second.test"\n')
    result = local_device.run("tedge-cert-status --short")
    assert (result.exit, result.stdout.count("\n")) == (1, 2)
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["c8y", "c8y@second"]
    assert "attention  90d left  bridge not configured" in result.stdout


def test_an_unknown_profile_is_not_known(local_device: LocalDevice) -> None:
    result = local_device.run("tedge-cert-status c8y --profile other")
    assert result.exit == 2
    assert "Certificate:   not known" in result.stdout
    assert "Device id:     not known" in result.stdout


def test_a_configuration_that_cannot_be_read_is_the_whole_story(local_device: LocalDevice) -> None:
    (local_device.directory / "tedge.toml").write_text("c8y = [")
    code, document = status(local_device)
    assert code == 2
    assert "line 1" in only(document)["problems"][0]["what"]
    assert {"certificate", "last", "bridge"} < set(only(document)["not_known"])
    assert local_device.run("tedge-cert-status --prometheus").stdout.splitlines()[-1].endswith("} 2")


def test_status_writes_nothing(local_device: LocalDevice) -> None:
    certify(local_device, days=90)
    before = {path: path.stat().st_mtime_ns for path in local_device.directory.rglob("*")}
    status(local_device)
    assert {path: path.stat().st_mtime_ns for path in local_device.directory.rglob("*")} == before
    assert not instance_of(local_device).run_directory.joinpath("c8y.json").exists()


def test_the_authority_is_that_of_the_profile(local_device: LocalDevice) -> None:
    file = local_device.directory / "tedge.toml"
    profiles = '[c8y.profiles.p]\nurl = "p.test"\n[c8y.profiles.q]\nurl = "q.test"\nest.url = "q.test/est"\n'
    file.write_text(f'{file.read_text()}[est]\nurl = "est.test"\n{profiles}')
    found = [gather(load_instance("c8y", each, str(local_device.directory)), online=False) for each in ("", "p", "q")]
    assert [(each.est_url, each.is_est_inherited) for each in found] == [
        ("https://est.test/.well-known/est", False),
        ("https://est.test/.well-known/est", True),
        ("https://q.test/est", False),
    ]
