# SPDX-License-Identifier: Apache-2.0
"""EST requests over real HTTPS to the tenant, with every kind of answer that it can give."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from pytest_mock import MockerFixture

from tedge_cert.authority import answer_checks, cumulocity
from tedge_cert.authority.answer_checks import UnfitCertificateError
from tedge_cert.device.connection_settings import tenant_of
from tedge_cert.device.instance import load_instance
from tedge_cert.errors import ClockError, NoAnswerError, RequestRefusedError
from tedge_cert.net import https
from tedge_cert.net.server import Server
from tedge_cert.tenant.token import request_token_directly
from tedge_cert.x509 import keys, requests
from tedge_cert.x509.certificate import Certificate
from tenant.client import Tenant
from unit.answering import server_at
from unit.certificates import new_key
from unit.local_device import LocalDevice

pytestmark = pytest.mark.usefixtures("_no_alarm")
KEY = new_key()
OURS = keys.public_key(KEY)
NAME = "est-device"
PASSWORD = "one-time-password"


def server_of(tenant: Tenant) -> Server:
    return server_at(tenant.http_port, tenant.server_ca)


def enrol(tenant: Tenant, **fault: Any) -> list[x509.Certificate]:
    """Ask for a first certificate, which one fault may spoil."""
    tenant.register(NAME, PASSWORD)
    if fault:
        tenant.fault(where="est", times=1, **fault)
    request = requests.first_request(KEY, NAME, "ACME", "IoT")
    return cumulocity.enrol(server_of(tenant), NAME, PASSWORD, request)


@pytest.mark.parametrize("form", ["ber", "der", "raw-der", "pem", "pem-pkcs7"])
@pytest.mark.parametrize("order", ["leaf-first", "leaf-last"])
def test_enrols_in_every_form(tenant: Tenant, form: str, order: str) -> None:
    tenant.settings(est_format=form, est_order=order, est_chain=True, intermediate=True)
    picked = answer_checks.pick(enrol(tenant), OURS)
    assert picked.validity.device_id == NAME
    assert len(picked.chain) == 2
    answer_checks.check(picked, OURS, NAME)


@pytest.mark.parametrize(
    "settings",
    [
        {"est_status": 201},
        {"est_columns": 76, "est_newline": "\r\n"},
        {"est_columns": 0},
        {"est_content_type": "text/html"},
    ],
)
def test_takes_answers_as_servers_give_them(tenant: Tenant, settings: dict[str, Any]) -> None:
    tenant.settings(**settings)
    assert answer_checks.pick(enrol(tenant), OURS).validity.device_id == NAME


def test_renews_with_a_token(local_device: LocalDevice) -> None:
    tenant = local_device.tenant
    assert local_device.register().exit == 0
    instance = load_instance("c8y", directory=str(local_device.directory))
    key = keys.load(instance.key)
    request = requests.renewal_request(
        key, Certificate(x509.load_pem_x509_certificate(instance.certificate.read_bytes()))
    )
    at = tenant_of(instance)
    token = request_token_directly(at)
    new = answer_checks.pick(cumulocity.reenrol(at, lambda _: token, request), keys.public_key(key))
    answer_checks.check(new, keys.public_key(key), local_device.device_id)
    tenant.revoke_tokens()
    with pytest.raises(RequestRefusedError, match="answered 401 Unauthorized") as raised:
        cumulocity.reenrol(at, lambda _: token, request)
    assert raised.value.status == 401
    assert token not in str(raised.value)


def test_the_environment_changes_nothing(tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    (tmp_path / ".netrc").write_text("machine localhost login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    assert enrol(tenant)


IN_A_MINUTE = format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (202, {"Retry-After": "300"}, "answered 202 Accepted: to be asked again in 300 s"),
        (301, {"Location": "https://other.example/"}, "301 .*to go to https://other.example/, which is not followed"),
        (302, {}, "302 .*to go to nowhere, which is not followed"),
        (307, {"Location": "http://localhost/"}, "307 .*which is not followed"),
        (400, {}, "400 Bad Request"),
        (401, {}, "401 Unauthorized"),
        (403, {}, "403 Forbidden"),
        (404, {}, "404 Not Found"),
        (429, {"Retry-After": "7"}, "429 Too Many Requests: to be asked again in 7 s"),
        (500, {}, "500 Internal Server Error"),
        (503, {"Retry-After": IN_A_MINUTE}, "503 Service Unavailable: to be asked again in 8[56][0-9]{3} s"),
        (503, {"Retry-After": "soon"}, "503 Service Unavailable"),
    ],
)
def test_refusals_are_reported(tenant: Tenant, status: int, headers: dict[str, str], said: str) -> None:
    with pytest.raises(RequestRefusedError, match=said) as raised:
        enrol(tenant, do="status", status=status, headers=headers, body={"message": "as it\u00a0is \u001b[2J"})
    assert raised.value.status == status
    text = str(raised.value)
    assert text.startswith(f"https://localhost:{tenant.http_port}/.well-known/est/simpleenroll answered {status}")
    assert "as it" in text
    assert text.isprintable()
    assert PASSWORD not in text


def test_the_body_of_a_redirect_is_quoted_and_not_read_to_its_end(tenant: Tenant) -> None:
    with pytest.raises(RequestRefusedError, match=r"which is not followed: x{300};"):
        enrol(tenant, do="status", status=301, headers={"Location": "https://localhost:1/"}, body="x" * 100_000)


def test_a_long_refusal_is_cut(tenant: Tenant) -> None:
    with pytest.raises(RequestRefusedError) as raised:
        enrol(tenant, do="status", status=500, body="x" * 100_000)
    assert 300 <= str(raised.value).count("x") < 310


def test_a_wrong_password_is_refused(tenant: Tenant) -> None:
    request = requests.first_request(KEY, "unregistered", "ACME", "IoT")
    with pytest.raises(RequestRefusedError, match="401 Unauthorized"):
        cumulocity.enrol(server_of(tenant), "unregistered", "wrong", request)


@pytest.mark.parametrize(
    ("do", "said"),
    [
        ("empty", "answered with an empty body"),
        ("garbage", "answered with something that is no certificate"),
        ("html", "it begins '<!DOCTYPE html>"),
        ("oversized", "answered more than 1048576 bytes"),
    ],
)
def test_bodies_that_are_no_certificate(tenant: Tenant, do: str, said: str) -> None:
    with pytest.raises(RequestRefusedError, match=said):
        enrol(tenant, do=do)


@pytest.mark.parametrize("do", ["close", "truncated"])
def test_answers_that_break_off(tenant: Tenant, do: str) -> None:
    with pytest.raises(NoAnswerError, match=r"no answer from https://localhost:\d+/.*; check the network and c8y.http"):
        enrol(tenant, do=do)


def test_a_silent_server_is_left(tenant: Tenant, mocker: MockerFixture) -> None:
    mocker.patch.object(https, "READ_S", 0.2)
    begun_s = time.monotonic()
    with pytest.raises(NoAnswerError, match="nothing came in time"):
        enrol(tenant, do="silence")
    assert time.monotonic() - begun_s < 10


def test_a_server_that_drips_meets_the_deadline(tenant: Tenant, mocker: MockerFixture) -> None:
    mocker.patch.object(https, "DEADLINE_S", 0.5)
    begun_s = time.monotonic()
    with pytest.raises(NoAnswerError, match=r"the whole request took longer than 0.5 s"):
        enrol(tenant, do="drip", interval_s=0.05)
    assert time.monotonic() - begun_s < 10


def test_a_server_that_drips_quickly_enough_is_heard(tenant: Tenant) -> None:
    assert enrol(tenant, do="drip", interval_s=0)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ({"do": "wrong-key"}, UnfitCertificateError, "none of the 1 certificate"),
        (
            {"do": "wrong-name", "name": "other"},
            UnfitCertificateError,
            "issued to other, expected the device id est-device",
        ),
        ({"do": "expired"}, UnfitCertificateError, "it expired 1h"),
        ({"do": "not-yet-valid", "seconds": 3600}, ClockError, "the clock is wrong"),
    ],
)
def test_certificates_that_do_not_fit(tenant: Tenant, fault: dict[str, Any], kind: type[Exception], said: str) -> None:
    received = enrol(tenant, **fault)
    with pytest.raises(kind, match=said):
        answer_checks.check(answer_checks.pick(received, OURS), OURS, NAME)


def test_a_certificate_that_lives_shorter(tenant: Tenant) -> None:
    current, shorter = (
        answer_checks.pick(enrol(tenant), OURS),
        answer_checks.pick(enrol(tenant, do="lifetime", seconds=60), OURS),
    )
    answer_checks.check(shorter, OURS, NAME)
    with pytest.raises(UnfitCertificateError, match="not later than the certificate that it is to replace"):
        answer_checks.check(shorter, OURS, NAME, current)
