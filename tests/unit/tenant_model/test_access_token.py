# SPDX-License-Identifier: Apache-2.0
"""The tenant's tokens for a client certificate, against requests."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from tenant.client import Tenant
from tenant.device import Device, make_csr, post

PATH = "/devicecontrol/deviceAccessToken"


@pytest.fixture
def device(tenant: Tenant, tmp_path: Path, request: pytest.FixtureRequest) -> Device:
    return Device(tenant, tmp_path, str(request.node.name)[:60])


def ask(device: Device, path: str = PATH, **options: Any) -> requests.Response:
    url, pair = f"https://localhost:{device.tenant.token_port}{path}", (str(device.cert), str(device.key))
    return requests.post(url, verify=str(device.tenant.server_ca), timeout=20, **{"cert": pair, **options})


def test_a_token_for_a_certificate(tenant: Tenant, device: Device) -> None:
    client = device.connect()
    device.hears("connack")
    answer = ask(device)
    assert answer.status_code == 200
    bearer = {"Authorization": f"Bearer {answer.json()['accessToken']}"}
    again = post(tenant, "/.well-known/est/simplereenroll", make_csr(device.name)[1], headers=bearer)
    assert again.status_code == 200
    noted = [each for each in tenant.state()["requests"] if each["path"] == PATH and each["device"] == device.name]
    assert [(each["method"], each["status"], each["serial"]) for each in noted] == [("POST", 200, device.serial)]
    assert tenant.device(device.name)["evictions"] == 0
    assert tenant.device(device.name)["serial"] == device.serial
    client.disconnect()
    client.loop_stop()


def test_refusals(tenant: Tenant, device: Device) -> None:
    assert ask(device, "/devicecontrol/deviceCredentials").status_code == 404
    tenant.settings(device_access_token=False)
    assert ask(device).status_code == 404
    tenant.settings(device_access_token=True)
    tenant.revoke(device.serial)
    refused = ask(device)
    assert refused.status_code == 401
    assert set(refused.json()) == {"error", "message", "info"}
    tenant.settings(revoked_answer="tls-revoked")
    with pytest.raises(requests.exceptions.SSLError, match="REVOKED"):
        ask(device)
    with pytest.raises((requests.exceptions.SSLError, requests.exceptions.ConnectionError)):
        ask(device, cert=None)


def test_nobody_says_himself_who_he_is(tenant: Tenant, device: Device) -> None:
    answer = ask(device, headers={"X-Client-Name": "another", "X-Client-Serial": "1"}, data=b"x" * 5000)
    assert answer.status_code == 200
    assert tenant.state()["requests"][-1]["device"] == device.name


@pytest.mark.parametrize(
    ("fault", "status"),
    [({"do": "status", "status": 422}, 422), ({"do": "close"}, None), ({"do": "tls-unknown-ca"}, None)],
)
def test_faults_meet_single_certificates(
    tenant: Tenant, device: Device, tmp_path: Path, fault: dict[str, Any], status: int | None
) -> None:
    other = Device(tenant, tmp_path, device.name)
    tenant.fault(where="access", serials=[other.serial], **fault)
    assert ask(device).status_code == 200
    if status:
        assert ask(other).status_code == status
    else:
        with pytest.raises(requests.exceptions.ConnectionError):
            ask(other)
    assert other.alert() == "no alert"


def test_an_uploaded_certificate_that_is_disabled(tenant: Tenant, device: Device) -> None:
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9"
    files: list[str | Path] = ["-keyout", device.key, "-out", device.cert, "-subj", f"/CN={device.name}"]
    subprocess.run(["openssl", *command.split(), *files], check=True, capture_output=True)
    base = f"https://localhost:{tenant.http_port}/tenant/tenants/t1/trusted-certificates"
    known: dict[str, Any] = {"auth": ("admin", "secret"), "verify": str(tenant.server_ca)}
    made = requests.post(base, json={"certInPemFormat": device.cert.read_text()}, timeout=20, **known).json()
    for status in ("ENABLED", "DISABLED"):
        assert requests.put(f"{base}/{made['fingerprint']}", json={"status": status}, timeout=20, **known).ok
        if status == "ENABLED":
            assert ask(device).status_code == 200
        else:
            with pytest.raises(requests.exceptions.SSLError, match="UNKNOWN_CA"):
                ask(device)
    assert requests.delete(f"{base}/{made['fingerprint']}", timeout=20, **known).status_code == 204
