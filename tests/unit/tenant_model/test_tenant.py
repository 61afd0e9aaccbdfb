# SPDX-License-Identifier: Apache-2.0
"""The HTTPS side of the tenant against real clients: requests, openssl, and bare TLS."""

import os
import signal
import subprocess
import sys
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import requests
from asn1crypto import cms, csr
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.name import _ASN1Type

from tenant.client import Tenant, TenantError
from tenant.device import Device, make_csr, post

EST = "/.well-known/est/"
ACCEPTED = "Success"


@pytest.fixture
def device(tenant: Tenant, tmp_path: Path, request: pytest.FixtureRequest) -> Device:
    return Device(tenant, tmp_path, str(request.node.name)[:60])


@pytest.mark.parametrize("form", ["ber", "der"])
@pytest.mark.parametrize("chain", [False, True])
def test_enrols_in_both_encodings(tenant: Tenant, form: str, chain: bool) -> None:
    name = f"enrol-{form}-{chain}"
    tenant.settings(est_format=form, est_chain=chain, est_order="leaf-last")
    key, body = make_csr(name, x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Ö", _ASN1Type.BMPString))
    tenant.register(name, "password1")
    answer = post(tenant, EST + "simpleenroll", body, auth=(name, "password1"))
    assert answer.status_code == 200
    der = b64decode(answer.content)
    assert (der[1] == 0x80) == (form == "ber")
    leaf = pkcs7.load_der_pkcs7_certificates(der)[-1]
    assert leaf.public_key() == key.public_key()
    inside = cms.ContentInfo.load(der)["content"]["certificates"]
    assert len(inside) == 1 + chain
    wanted = csr.CertificationRequest.load(b64decode(body))["certification_request_info"]["subject"]
    assert inside[-1].chosen.subject.dump() == wanted.dump()
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value[0].value == "device.example"
    assert post(tenant, EST + "simpleenroll", body, auth=(name, "password1")).status_code == 401


def test_reenrols_with_a_token(tenant: Tenant, device: Device) -> None:
    bearer = {"Authorization": f"Bearer {device.token()}"}
    _, body = make_csr(device.name)
    assert post(tenant, EST + "simplereenroll", body, headers=bearer).status_code == 200
    _, other = make_csr(device.name, x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "other"))
    assert post(tenant, EST + "simplereenroll", other, headers=bearer).status_code == 403
    _, stranger = make_csr("stranger")
    assert post(tenant, EST + "simplereenroll", stranger, headers=bearer).status_code == 403
    tenant.revoke_tokens()
    refused = post(tenant, EST + "simplereenroll", body, headers=bearer)
    assert refused.status_code == 401
    assert set(refused.json()) == {"error", "message", "info"}


@pytest.mark.parametrize("spoil", [lambda b: b.replace(b"\n", b""), lambda b: b[:-9] + b"\n", bytes.upper])
def test_bad_requests_are_refused(tenant: Tenant, spoil: Any) -> None:
    tenant.register("bad", "password1")
    answer = post(tenant, EST + "simpleenroll", spoil(make_csr("bad")[1]), auth=("bad", "password1"))
    assert answer.status_code == 400


def test_faults_of_est(tenant: Tenant) -> None:
    name = "faulty"
    _, body = make_csr(name)

    def ask(**fault: Any) -> requests.Response:
        tenant.register(name, "password1")
        tenant.fault(where="est", times=1, **fault)
        return post(tenant, EST + "simpleenroll", body, auth=(name, "password1"), allow_redirects=False)

    answer = ask(do="status", status=503, headers={"Retry-After": "7"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert ask(do="empty").content == b""
    assert len(ask(do="oversized").content) > 1 << 20
    assert "<html>" in ask(do="html").text
    for do in ("close", "truncated"):
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            ask(do=do)
    ask(do="drip", interval_s=0)
    now = time.time()
    for fault in (
        {"do": "expired"},
        {"do": "not-yet-valid", "seconds": 600},
        {"do": "lifetime", "seconds": 9},
    ):
        ask(**fault)
        issued = tenant.device(name)["issued"][-1]
        good = issued["not_before"] <= now + 1 < issued["not_after"]
        assert good == (fault["do"] == "lifetime")
    with pytest.raises(TenantError, match="shape"):
        ask(do="empty", shape=1)


def test_settings_are_checked(tenant: Tenant) -> None:
    for wrong in ({"est_fromat": "ber"}, {"est_format": "xml"}, {"lifetime_s": "long"}):
        with pytest.raises(TenantError, match=next(iter(wrong))):
            tenant.settings(**wrong)


def test_an_uploaded_certificate_and_the_operator(tenant: Tenant, device: Device) -> None:
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9"
    files: list[str | Path] = ["-keyout", device.key, "-out", device.cert, "-subj", f"/CN={device.name}"]
    subprocess.run(["openssl", *command.split(), *files], check=True, capture_output=True)
    assert device.alert() == "TLSV1_ALERT_UNKNOWN_CA"
    body = {"name": device.name, "certInPemFormat": device.cert.read_text(), "status": "ENABLED"}
    requested = {"id": device.name, "enrollmentToken": "password1", "type": "CA"}
    base = f"https://localhost:{tenant.http_port}"
    for path, content in (
        ("/tenant/tenants/t1/trusted-certificates", body),
        ("/devicecontrol/newDeviceRequests", requested),
    ):
        for operator, status in (
            (("admin", "wrong"), 401),
            (("admin", "secret"), 201),
            (("admin", "secret"), 409),
        ):
            answer = requests.post(base + path, json=content, auth=operator, verify=str(tenant.server_ca), timeout=20)
            assert answer.status_code == status
    client = device.connect()
    assert device.hears("connack") == ACCEPTED
    client.disconnect()
    client.loop_stop()


def test_a_limit_sends_who_comes_too_often_away(tenant: Tenant, device: Device) -> None:
    bearer = {"Authorization": f"Bearer {device.token()}"}
    _, body = make_csr(device.name)
    tenant.settings(est_limit=2, est_limit_s=60, est_retry_after_s=7)
    answers = [post(tenant, EST + "simplereenroll", body, headers=bearer) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert answers[-1].headers["Retry-After"] == "7"
    tenant.settings(est_limit=3)
    assert post(tenant, EST + "simplereenroll", body, headers=bearer).status_code == 200


_PARENT = """
import os, subprocess, sys
python = os.environ.get("TENANT_PYTHON") or sys.executable
tenant = subprocess.Popen([python, "-m", "tenant", "--directory", sys.argv[1]])
print(tenant.pid, flush=True)
tenant.wait()
"""


def test_it_ends_when_the_run_that_started_it_was_killed(tmp_path: Path) -> None:
    tests = str(Path(__file__).resolve().parents[2])
    command, environment = [sys.executable, "-c", _PARENT, str(tmp_path)], {**os.environ, "PYTHONPATH": tests}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert "control" in parent.stdout.readline()
        parent.kill()
        try:
            parent.communicate(timeout=20)  # until the tenant, too, has closed the pipe
        except subprocess.TimeoutExpired:
            os.kill(pid, signal.SIGKILL)
            raise
