# SPDX-License-Identifier: Apache-2.0
"""Step 2: it obtains a candidate, with any kind of token, and changes no other file."""

from pathlib import Path
from typing import Any

import pytest
from asn1crypto import csr as asn1_csr
from asn1crypto import pem as armour
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from pytest_mock import MockerFixture

from unit import connected, recipes
from unit.certificates import make
from unit.connected import certify, connect, instance_of, key_file, misdirect, outcome, serials
from unit.local_device import LocalDevice

DAY_S = 86_400
PATH = "/.well-known/est/simplereenroll"


def ask(device: LocalDevice, by_unit: bool = False, csr: Path | None = None) -> tuple[int, str]:
    return outcome(lambda: recipes.renew(instance_of(device), csr, by_unit))


def asked(device: LocalDevice) -> int:
    """How often the tenant was asked for a certificate so far."""
    return sum(each["path"] == PATH for each in device.tenant.state()["requests"])


@pytest.mark.parametrize("way", ["bridge up", "bridge down", "bridge silent", "no broker", "no bridge"])
def test_with_a_token(
    local_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    connected.hurry(mocker, TOKEN_WAIT_S=0.5)
    certify(local_device)
    if way != "no bridge":
        connect(local_device)
    if way == "no broker":
        local_device.stop_broker()
    if way == "bridge down":
        misdirect(local_device)
    if way == "bridge silent":
        local_device.tenant.fault(where="token", do="silence", times=2)
    before, requests = local_device.certificate.read_bytes(), asked(local_device)
    assert ask(local_device) == (0, "")
    said = capsys.readouterr().err
    assert local_device.certificate.read_bytes() == before
    assert local_device.candidate.stat().st_mode & 0o777 == 0o644
    assert (local_device.directory / "certs" / "device.csr").exists()
    issued = local_device.tenant.device(local_device.device_id)["issued"][-1]
    assert serials(local_device)[1:] == (issued["serial"], None)
    request = local_device.tenant.state()["requests"][-1]
    assert (request["path"], request["authorization"], request["status"]) == (PATH, "Bearer", 200)
    assert asked(local_device) == requests + 1
    through = "through the bridge" if way == "bridge up" else "over a connection of our own"
    assert f"token received {through}" in said
    if way == "bridge up":
        assert local_device.tenant.device(local_device.device_id)["evictions"] == 0


def test_no_token_at_all(local_device: LocalDevice, mocker: MockerFixture) -> None:
    connected.hurry(mocker, TOKEN_WAIT_S=0.3)
    certify(local_device)
    connect(local_device)
    local_device.tenant.fault(where="token", do="silence")
    requests = asked(local_device)
    code, said = ask(local_device)
    assert (code, asked(local_device)) == (1, requests)
    assert "no token came through the bridge within 0.6 s" in said
    endpoint = f"127.0.0.1:{local_device.tenant.mqtt_port}"
    # mosquitto 2.1 may have its bridge back before that, which ends this connection.
    assert f"over a connection of our own: no answer from {endpoint}: " in said
    assert "no message in time" in said or "the connection was closed before the message" in said
    assert not local_device.candidate.exists()


@pytest.mark.parametrize("payload", ["71,", "50,nonsense", "", "71,not.a.token"])
def test_a_malformed_token(local_device: LocalDevice, mocker: MockerFixture, payload: str) -> None:
    """A message that is no token is ignored; a wrong token is refused by the tenant, and another one is requested."""
    connected.hurry(mocker, TOKEN_WAIT_S=0.3)
    certify(local_device)
    local_device.tenant.fault(where="token", do="malformed", payload=payload, times=1)
    code, said = ask(local_device)
    assert (code, local_device.candidate.exists()) == ((0, True) if payload.endswith("token") else (1, False))
    assert not code or said.startswith("no token: ")


@pytest.mark.parametrize(
    ("fault", "code", "requests"),
    [
        ({"where": "est", "do": "status", "status": 401, "times": 1}, 0, 2),
        ({"where": "est", "do": "status", "status": 401, "times": 5}, 1, 2),
        ({"where": "token", "do": "expired", "times": 1}, 0, 2),
        ({"where": "est", "do": "status", "status": 403, "times": 5}, 1, 1),
    ],
)
def test_a_refused_token_is_replaced_once(
    local_device: LocalDevice, fault: dict[str, Any], code: int, requests: int
) -> None:
    certify(local_device)
    local_device.tenant.fault(**fault)
    before = asked(local_device)
    found, said = ask(local_device)
    assert (found, asked(local_device)) == (code, before + requests)
    assert not code or f"https://127.0.0.1:{local_device.tenant.http_port}{PATH} answered {fault['status']}" in said
    assert local_device.candidate.exists() == (code == 0)


def test_the_request_repeats_the_certificate(local_device: LocalDevice) -> None:
    """Subject and subjectAltName byte for byte (RFC 7030 4.2.2), whatever the configuration says."""
    oid = x509.NameOID
    attributes = (
        x509.NameAttribute(oid.ORGANIZATION_NAME, "Ö", _ASN1Type.BMPString),
        x509.NameAttribute(oid.COMMON_NAME, local_device.device_id, _ASN1Type.T61String),
    )
    certify(local_device, name=x509.Name(attributes), names=("device.example", "other.example"))
    configuration = local_device.directory / "tedge.toml"
    configuration.write_text(configuration.read_text() + '[certificate]\norganization = "Changed"\n')
    assert ask(local_device) == (0, "")
    sent = armour.unarmor((local_device.directory / "certs" / "device.csr").read_bytes())[2]
    info = asn1_csr.CertificationRequest.load(sent)["certification_request_info"]
    current, new = (
        asn1_x509.Certificate.load(armour.unarmor(path.read_bytes())[2])["tbs_certificate"]
        for path in (local_device.certificate, local_device.candidate)
    )
    assert info["subject"].dump() == current["subject"].dump() == new["subject"].dump()
    wanted = [each.dump() for each in current["extensions"] if each["extn_id"].native == "subject_alt_name"]
    assert len(wanted) == 1
    assert [each.dump() for each in info["attributes"][0]["values"][0]] == wanted


def test_a_missing_key_is_not_made(local_device: LocalDevice) -> None:
    certify(local_device)
    key_file(local_device).unlink()
    code, said = ask(local_device)
    assert (code, key_file(local_device).exists(), local_device.candidate.exists()) == (1, False, False)
    assert f"the private key {key_file(local_device)} is missing" in said


def test_a_request_made_by_others(local_device: LocalDevice) -> None:
    certify(local_device)
    csr = local_device.directory / "other.csr"
    csr.write_text(connected.signing_request(local_device, names=("by-hand.example",)))
    assert ask(local_device, csr=csr) == (0, "")
    names = x509.load_pem_x509_certificate(local_device.candidate.read_bytes()).extensions
    found = names.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == ["by-hand.example"]
    assert not (local_device.directory / "certs" / "device.csr").exists()


@pytest.mark.parametrize("kind", ["another key", "garbage", "missing"])
def test_a_request_that_cannot_be_used(local_device: LocalDevice, kind: str) -> None:
    certify(local_device)
    csr, kept = local_device.directory / "other.csr", key_file(local_device).read_bytes()
    if kind == "another key":
        key_file(local_device).write_bytes(make().key_pem)
        csr.write_text(connected.signing_request(local_device))
        key_file(local_device).write_bytes(kept)
    if kind == "garbage":
        csr.write_text("garbage")
    requests = asked(local_device)
    code, said = ask(local_device, csr=csr)
    assert (code, asked(local_device), local_device.candidate.exists()) == (1, requests, False)
    assert str(csr) in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"days": -1, "not_before_offset_s": -2 * DAY_S}, "with a new one-time password"),
        ({"not_before_offset_s": DAY_S}, "the clock is wrong"),
    ],
)
def test_never_shown_to_the_tenant(local_device: LocalDevice, options: dict[str, Any], said: str) -> None:
    certify(local_device, **options)
    requests, failures = asked(local_device), len(local_device.tenant.state()["failed_handshakes"])
    code, text = ask(local_device)
    assert (code, asked(local_device)) == (1, requests)
    assert str(local_device.certificate) in text
    assert said in text
    assert len(local_device.tenant.state()["failed_handshakes"]) == failures
    assert local_device.tenant.device(local_device.device_id)["connections"] == []
