# SPDX-License-Identifier: Apache-2.0
"""Tokens for a client certificate: answers, the memory of the endpoint, and refusals."""

from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.disk import files
from tedge_cert.errors import TedgeCertError
from tedge_cert.tenant import device_token
from tedge_cert.tenant.own_connection import Answer
from unit.connected import certify, configure, hurry, instance_of, issue, tenant_of
from unit.local_device import LocalDevice

pytestmark = pytest.mark.usefixtures("_no_alarm")


def asked(device: LocalDevice) -> list[dict[str, Any]]:
    """What the tenant was asked for by this device on the port for client certificates."""
    requests = device.tenant.state()["requests"]
    return [each for each in requests if each["path"] == device_token.PATH and each["device"] == device.device_id]


def remembered(device: LocalDevice) -> str:
    file = instance_of(device).access_token_file
    return file.read_text().partition(":")[0] if file.exists() else ""


def test_a_token_without_mqtt(token_device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    serial = certify(token_device)
    token = device_token.request(tenant_of(token_device))
    assert token
    url = f"https://{token_device.tenant.address}:8443/devicecontrol/deviceAccessToken"
    assert capsys.readouterr().err == f"token received from {url}\n"
    assert instance_of(token_device).access_token_file.read_text() == f"offered: {url}"
    assert [(each["status"], each["serial"]) for each in asked(token_device)] == [(200, serial)]
    assert token_device.tenant.device(token_device.device_id)["connections"] == []
    assert "X-Ssl-Cert-Chain" not in asked(token_device)[0]["headers"]


def test_a_tenant_without_it_is_asked_once(token_device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    token_device.tenant.settings(device_access_token=False)
    certify(token_device)
    issue(token_device)
    for _ in range(2):
        assert device_token.request(tenant_of(token_device)) is None
        assert device_token.prove(tenant_of(token_device), token_device.candidate) is None
    assert len(asked(token_device)) == 1
    assert (remembered(token_device), capsys.readouterr().err) == ("not offered", "")
    # Another tenant is asked all the same.
    token_device.tenant.settings(device_access_token=True)
    fact = instance_of(token_device).access_token_file
    fact.write_text(fact.read_text().replace("127.", "tenant.test."))
    assert device_token.request(tenant_of(token_device))
    assert remembered(token_device) == "offered"


def test_a_tenant_that_does_not_listen(local_device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    certify(local_device)
    assert device_token.request(tenant_of(local_device)) is None
    assert (remembered(local_device), capsys.readouterr().err) == ("not offered", "")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"do": "status", "status": 503}, "answered 503"),
        ({"do": "status", "status": 422}, "answered 422"),
        ({"do": "status", "status": 302, "headers": {"Location": "/"}}, "answered 302"),
        ({"do": "status", "status": 401}, "refused the certificate (401)"),
        ({"do": "status", "status": 200, "body": {"accessToken": "a\nb"}}, "answered 200 without a token"),
        ({"do": "status", "status": 200, "body": [1]}, "answered 200 without a token"),
        ({"do": "html"}, "answered 200 without a token"),
        ({"do": "garbage"}, "answered 200 without a token"),
        ({"do": "empty"}, "answered 200 without a token"),
        ({"do": "close"}, "no answer from"),
        ({"do": "truncated"}, "no answer from"),
        ({"do": "status", "status": 200, "body": "[" * 60_000}, "answered 200 without a token"),
        ({"do": "silence"}, "no answer from"),
        ({"do": "drip", "interval_s": 0.2}, "took longer than 2 s"),
        ({"do": "tls-unknown-ca"}, "TLS alert: unknown ca"),
    ],
)
def test_no_token_is_no_failure(
    token_device: LocalDevice,
    mocker: MockerFixture,
    capsys: pytest.CaptureFixture[str],
    fault: dict[str, Any],
    said: str,
) -> None:
    hurry(mocker, DEADLINE_S=2.0, CONNECT_S=1.0)
    certify(token_device)
    token_device.tenant.fault(where="access", **fault)
    assert device_token.request(tenant_of(token_device)) is None
    text = capsys.readouterr().err
    assert text.startswith("no token: ")
    assert said in text
    # A late answer would cost the same time again, so only that is remembered.
    late = fault["do"] in ("silence", "drip")
    assert remembered(token_device).startswith("silent until") is late
    assert (remembered(token_device) == "") is not late


def test_a_server_that_is_not_trusted(token_device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    certify(token_device)
    configure(token_device, str(token_device.tenant.server_ca), str(token_device.tenant.device_ca))
    assert device_token.request(tenant_of(token_device)) is None
    assert f"{token_device.tenant.address}:8443 is not trusted" in capsys.readouterr().err
    assert (remembered(token_device), asked(token_device)) == ("", [])


def test_one_that_gave_tokens_is_asked_again(token_device: LocalDevice) -> None:
    certify(token_device)
    assert device_token.request(tenant_of(token_device))
    token_device.tenant.fault(where="access", do="status", status=404, times=1)
    assert device_token.request(tenant_of(token_device)) is None
    assert device_token.request(tenant_of(token_device))


def test_what_cannot_be_remembered(token_device: LocalDevice, mocker: MockerFixture) -> None:
    certify(token_device)
    mocker.patch.object(files, "write", side_effect=TedgeCertError("disk full"))
    assert device_token.request(tenant_of(token_device))


def test_a_chain_goes_along(token_device: LocalDevice) -> None:
    tenant = token_device.tenant
    tenant.settings(intermediate=True, trust_intermediate=False)
    certify(token_device)
    chain = tenant.issue_key("somebody")["chain"]
    pem = token_device.certificate.read_text() + chain
    # What stands beside the certificates goes along in no header.
    token_device.certificate.write_text(f"Gerät 7\n{pem}", encoding="utf-8")
    assert device_token.request(tenant_of(token_device))
    header = asked(token_device)[0]["headers"]["X-Ssl-Cert-Chain"]
    assert header.count("-----END CERTIFICATE----- -----BEGIN CERTIFICATE----- ") == 2
    assert header.replace(" ", "\n").split() == pem.split()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("fault", [{"do": "status", "status": 401}, {"do": "tls-unknown-ca"}, {"do": "tls-revoked"}])
def test_a_refused_candidate(
    token_device: LocalDevice, mocker: MockerFixture, fault: dict[str, Any], known: bool
) -> None:
    hurry(mocker)
    certify(token_device)
    new = issue(token_device)
    token_device.tenant.fault(where="access", serials=[new], **fault)
    if known:
        assert device_token.request(tenant_of(token_device))
    spy = mocker.spy(device_token, "_reply_to")
    verdict = device_token.prove(tenant_of(token_device), token_device.candidate)
    assert verdict is not None
    assert (verdict.answer, spy.call_count) == (Answer.REFUSED, 5 if known else 6)
    revoked = fault["do"] == "tls-revoked"
    assert ("says that the certificate is revoked" if revoked else "refused the certificate") in verdict.reason
    assert verdict.alert == {"tls-revoked": "certificate revoked", "tls-unknown-ca": "unknown ca"}.get(fault["do"], "")


def test_a_refusal_in_words(token_device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    serial = certify(token_device)
    token_device.tenant.revoke(serial)
    assert device_token.request(tenant_of(token_device)) is None
    assert "refused the certificate (401): Device certificate is revoked\n" in capsys.readouterr().err


def test_a_candidate_known_a_moment_later(token_device: LocalDevice, mocker: MockerFixture) -> None:
    hurry(mocker)
    certify(token_device)
    new = issue(token_device)
    token_device.tenant.fault(where="access", do="status", status=401, serials=[new], times=2)
    verdict = device_token.prove(tenant_of(token_device), token_device.candidate)
    assert verdict is not None
    assert (verdict.answer, len(asked(token_device))) == (Answer.ACCEPTED, 4)


@pytest.mark.parametrize("status", [404, 422, 503])
def test_no_verdict_on_a_candidate(token_device: LocalDevice, mocker: MockerFixture, status: int) -> None:
    hurry(mocker)
    certify(token_device)
    new = issue(token_device)
    token_device.tenant.fault(where="access", do="status", status=status, serials=[new])
    assert device_token.prove(tenant_of(token_device), token_device.candidate) is None


@pytest.mark.parametrize("expired", [True, False])
def test_who_refuses_everybody_says_nothing(
    token_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str], expired: bool
) -> None:
    hurry(mocker)
    if expired:
        certify(token_device, days=-1, not_before_offset_s=-2 * 86_400)
    else:
        certify(token_device)
    new = issue(token_device)
    token_device.tenant.fault(where="access", do="status", status=401)
    assert device_token.prove(tenant_of(token_device), token_device.candidate) is None
    assert "that says nothing" in capsys.readouterr().err
    shown = {each["serial"] for each in asked(token_device)}
    assert shown == {new} if expired else len(shown) == 2
