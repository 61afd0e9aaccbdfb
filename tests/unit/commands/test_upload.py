# SPDX-License-Identifier: Apache-2.0
"""`tedge cert upload c8y` against the tenant, and against servers that are not the tenant."""

import argparse
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tedge_cert.commands.upload import upload
from tedge_cert.config.credentials import Credentials
from tedge_cert.device.instance import load_instance
from tedge_cert.errors import NoAnswerError, RequestRefusedError, TedgeCertError
from unit import self_made
from unit.answering import Server, answering
from unit.certificates import make_for
from unit.connected import certify, configure, issue, serial_of
from unit.est_authority import EstAuthority, first_certificate
from unit.local_device import LocalDevice, Result

PASSWORD = "s3cret-wörd"
OPERATOR = Credentials("t1/öperator", PASSWORD)


def run(device: LocalDevice, words: str = "", **variables: Any) -> Result:
    return device.run(f"tedge-cert-upload c8y {words}".strip(), **variables)


def trusted(device: LocalDevice) -> list[dict[str, Any]]:
    """Return the certificates of this device that the tenant trusts."""
    return [each for each in device.tenant.state()["trusted"] if each["name"] == device.device_id]


def serial_in(entry: dict[str, Any]) -> str:
    return str(x509.load_pem_x509_certificate(entry["certInPemFormat"].encode()).serial_number)


def test_the_certificate_then_the_candidate(local_device: LocalDevice) -> None:
    serial = self_made.create(local_device, 20)
    result = self_made.upload(local_device)
    assert (result.exit, result.stdout) == (0, "")
    assert result.stderr == f"The tenant trusts it now: {local_device.certificate}\n"
    entry = trusted(local_device)[0]
    assert serial_in(entry) == serial
    assert (entry["autoRegistrationEnabled"], entry["status"]) == (True, "ENABLED")
    again = self_made.upload(local_device)
    assert (again.exit, again.stdout) == (0, "")
    assert again.stderr == f"The tenant trusted it already: {local_device.certificate}\n"
    assert local_device.run(self_made.RENEW).exit == 0
    assert self_made.upload(local_device).stderr == f"The tenant trusts it now: {local_device.candidate}\n"
    assert [serial_in(each) for each in trusted(local_device)] == [serial, serial_of(local_device.candidate)]
    paths = [each["path"] for each in local_device.tenant.state()["requests"] if each["path"].startswith("/tenant/")]
    assert paths[-2:] == ["/tenant/currentTenant", "/tenant/tenants/t1/trusted-certificates"]


def test_of_a_chain_only_the_leaf(local_device: LocalDevice) -> None:
    certify(local_device)
    with local_device.certificate.open("ab") as file:
        file.write(make_for(90, name="some CA").pem)
    assert self_made.upload(local_device).exit == 0
    assert trusted(local_device)[0]["certInPemFormat"].count("BEGIN") == 1


def test_the_authority_is_the_last_of_the_chain(local_device: LocalDevice, tmp_path: Path) -> None:
    with EstAuthority(tmp_path) as authority:
        pem, _ = first_certificate(authority, local_device.device_id)
    local_device.certificate.write_bytes(pem.partition(authority.issuing.pem)[0])
    result = run(local_device, "--authority", C8Y_USER="admin", C8Y_PASSWORD="secret")
    assert (result.exit, trusted(local_device)) == (1, [])
    assert "does not hold the certificate of its authority (CN=ACME devices" in result.stderr
    local_device.certificate.write_bytes(pem + make_for(9, name="stranger").pem + authority.root.pem)
    result = run(local_device, "--authority", C8Y_USER="admin", C8Y_PASSWORD="secret")
    assert (result.exit, result.stderr) == (0, f"The tenant trusts it now: {local_device.certificate}\n")
    entry = local_device.tenant.state()["trusted"][-1]
    assert entry["name"] == "ACME root"
    assert entry["certInPemFormat"].encode() == authority.root.pem


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        ("--user admin --password secret", {}),
        ("--user=admin --password=secret", {"C8Y_USER": "x", "C8Y_PASSWORD": "x"}),
        ("--password secret", {"C8Y_USER": "admin"}),
        ("", {"C8Y_USER": "admin", "C8Y_PASSWORD": "secret", "C8YPASS": "x"}),
        ("", {"C8Y_USER": "admin", "C8YPASS": "secret"}),
    ],
)
def test_who_uploads(local_device: LocalDevice, words: str, variables: dict[str, Any]) -> None:
    certify(local_device)
    result = run(local_device, words, **variables)
    assert result.exit == 0, result.stderr
    assert ("C8YPASS is deprecated" in result.stderr) == (variables.get("C8YPASS") == "secret")
    assert "secret" not in result.stderr


def test_help_shows_no_password(local_device: LocalDevice) -> None:
    result = run(local_device, "--help", C8Y_USER="somebody", C8Y_PASSWORD=PASSWORD, C8YPASS=PASSWORD)
    assert result.exit == 0
    assert PASSWORD not in result.stdout
    assert "C8Y_PASSWORD" in result.stdout


@pytest.mark.parametrize(("words", "code"), [("tedge-cert-upload", 2), ("tedge-cert-upload aws", 2)])
def test_the_cloud_must_be_named(local_device: LocalDevice, words: str, code: int) -> None:
    assert local_device.run(words).exit == code


@pytest.mark.parametrize("secret", ["wrong", "-wrong", "--debug"])
def test_a_wrong_password_is_said_without_it(local_device: LocalDevice, secret: str) -> None:
    certify(local_device)
    result = run(local_device, f"--debug --user admin --password {secret}")
    assert (result.exit, result.stdout) == (1, "")
    last = result.stderr.splitlines()[-1]
    assert "/tenant/currentTenant answered 401" in last
    assert "check C8Y_USER and C8Y_PASSWORD" in last
    assert "wrong" not in result.stderr
    assert trusted(local_device) == []


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (lambda d: d.certificate.mkdir(), "cannot read the certificate"),
        (lambda d: d.certificate.write_text("garbage"), "holds no certificate in PEM"),
        (lambda d: [certify(d), d.candidate.write_text("garbage")], "cert.pem.new cannot be uploaded: no "),
        (lambda d: [certify(d), d.candidate.symlink_to("nowhere")], "cannot be read as a plain file"),
    ],
)
def test_what_cannot_be_uploaded_reaches_nobody(local_device: LocalDevice, put: Any, said: str) -> None:
    put(local_device)
    before = len(local_device.tenant.state()["requests"])
    result = self_made.upload(local_device)
    assert (result.exit, result.stdout) == (1, "")
    assert said in result.stderr
    assert len(local_device.tenant.state()["requests"]) == before


@pytest.mark.parametrize(
    ("status", "said"),
    [(403, "such as the role Tenant Manager"), (422, "does not take this certificate"), (503, "later")],
)
def test_refusals(local_device: LocalDevice, status: int, said: str) -> None:
    certify(local_device)
    local_device.tenant.fault(where="http", do="status", status=status, path="/tenant/tenants/t1/trusted-certificates")
    result = self_made.upload(local_device)
    assert (result.exit, result.stdout) == (1, "")
    assert f"trusted-certificates answered {status}" in result.stderr
    assert said in result.stderr


def ask(device: LocalDevice, server: Server) -> None:
    issue(device, device.certificate)
    configure(device, f"127.0.0.1:{device.tenant.http_port}", f"localhost:{server.port}")
    configure(device, str(device.tenant.server_ca), str(server.trust))
    upload(load_instance("c8y", "", str(device.directory)), OPERATOR)


def answer(body: str, head: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@pytest.mark.parametrize("body", ["", "<html>", "[]", "5", "{}", '{"name": ""}', '{"name": 5}', '"name"', "[" * 65_536])
def test_who_is_not_the_tenant(local_device: LocalDevice, tmp_path: Path, body: str) -> None:
    with (
        answering(tmp_path, answer(body)) as server,
        pytest.raises(RequestRefusedError, match="/tenant/currentTenant did not name the tenant"),
    ):
        ask(local_device, server)
    assert len(server.asked) == 1


def test_what_is_sent(local_device: LocalDevice, tmp_path: Path) -> None:
    with answering(tmp_path, answer('{"name": "t/1?x"}')) as server:
        ask(local_device, server)
    first, second = (each.decode() for each in server.asked)
    credentials = base64.b64encode(f"t1/öperator:{PASSWORD}".encode()).decode()
    assert first.startswith("GET /tenant/currentTenant HTTP/1.1\r\n")
    assert second.startswith("POST /tenant/tenants/t%2F1%3Fx/trusted-certificates HTTP/1.1\r\n")
    assert all(f"\r\nAuthorization: Basic {credentials}\r\n" in each for each in (first, second))
    assert set(json.loads(second.partition("\r\n\r\n")[2])) == {
        "autoRegistrationEnabled",
        "certInPemFormat",
        "name",
        "status",
    }


def test_a_redirect_is_not_followed(local_device: LocalDevice, tmp_path: Path) -> None:
    redirect = "HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with answering(tmp_path, redirect.encode()) as server, pytest.raises(TedgeCertError, match="which is not followed"):
        ask(local_device, server)


def test_a_server_that_is_not_trusted_hears_no_password(local_device: LocalDevice, tmp_path: Path) -> None:
    with answering(tmp_path, answer("{}"), name="other.example") as server, pytest.raises(NoAnswerError):
        ask(local_device, server)
    assert server.asked == []


def test_the_password_is_in_no_text() -> None:
    assert PASSWORD not in repr(OPERATOR)
    assert PASSWORD not in str(argparse.Namespace(operator=OPERATOR))
