# SPDX-License-Identifier: Apache-2.0
"""The tenant against real clients: paho, requests, mosquitto, and bare TLS."""

import queue
import socket
import ssl
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
import requests
from asn1crypto import cms, csr
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.name import _ASN1Type

from tenant.bridge import MOSQUITTO, bridged
from tenant.client import Tenant, TenantError
from tenant.device import Device, make_csr, post

EST = "/.well-known/est/"
ACCEPTED, BAD_PASSWORD, NOT_AUTHORIZED = "Success", "Bad user name or password", "Not authorized"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    with Tenant.start(tmp_path_factory.mktemp("tenant")) as started:
        yield started


@pytest.fixture
def tenant(running: Tenant) -> Iterator[Tenant]:
    before = running.settings()
    yield running
    running.settings(**{**before, "faults": [], "token_epoch": running.settings()["token_epoch"]})


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


def test_a_hundred_messages(tenant: Tenant, device: Device) -> None:
    client = device.connect()
    assert device.hears("connack") == ACCEPTED
    sent = [client.publish("t/us", str(number), qos=number % 3) for number in range(100)]
    for message in sent:
        message.wait_for_publish(20)
    found = tenant.wait_messages(device.name, 100)
    assert sorted(int(m["payload"]) for m in found) == list(range(100))
    assert {m["serial"] for m in found} == {device.serial}
    client.disconnect()
    client.loop_stop()
    assert tenant.wait_disconnected(device.name)["connections"][0]["why_closed"] == "disconnected by the client"


def test_a_second_connection_evicts_the_first(tenant: Tenant, device: Device) -> None:
    clients = [device.connect()]
    assert device.hears("connack") == ACCEPTED
    clients.append(device.connect())
    assert {device.heard.get(timeout=20)[0] for _ in "12"} == {"connack", "disconnect"}
    seen = tenant.wait_connected(device.name, connections=2)
    assert (seen["evictions"], seen["connections"][0]["why_closed"]) == (1, "evicted")
    for client in clients:
        client.loop_stop()


def test_refusals(tenant: Tenant, device: Device, tmp_path: Path) -> None:
    assert device.alert() == "no alert"
    bare = ssl.create_default_context(cafile=str(tenant.server_ca))
    with socket.create_connection(("127.0.0.1", tenant.mqtt_port), timeout=20) as raw:
        secured = bare.wrap_socket(raw, server_hostname="localhost")
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            secured.recv(1)
    expired = Device(tenant, tmp_path, "old", not_before_offset_s=-600, lifetime_s=-60)
    assert expired.alert() == "SSLV3_ALERT_CERTIFICATE_EXPIRED"
    tenant.fault(where="mqtt", do="tls-unknown-ca", except_serials=[device.serial])
    spared, refused = device, Device(tenant, tmp_path, device.name)
    assert (spared.alert(), refused.alert()) == ("no alert", "TLSV1_ALERT_UNKNOWN_CA")
    tenant.clear_faults()
    tenant.fault(where="mqtt", do="connack", code=4, serials=[refused.serial])
    refused.connect().loop_stop()
    assert refused.hears("connack") == BAD_PASSWORD
    spared.connect("another").loop_stop()
    assert spared.hears("connack") == NOT_AUTHORIZED
    tenant.revoke(spared.serial)
    tenant.settings(revoked_answer="tls-revoked")
    assert spared.alert() == "SSLV3_ALERT_CERTIFICATE_REVOKED"


def test_a_slow_puback_and_none_at_all(tenant: Tenant, device: Device) -> None:
    client = device.connect()
    device.hears("connack")
    tenant.fault(where="mqtt", do="slow-puback", delay_s=0.5, device=device.name, times=1)
    begun = time.monotonic()
    client.publish("s/us", "100,a,b", qos=1).wait_for_publish(20)
    assert time.monotonic() - begun >= 0.5
    tenant.fault(where="mqtt", do="no-puback", device=device.name, topic="s/us", times=1)
    lost = client.publish("s/us", "lost", qos=1)
    client.publish("s/us", "answered", qos=1).wait_for_publish(20)
    assert not lost.is_published()
    tenant.fault(where="mqtt", do="close-after-publish", device=device.name)
    client.publish("s/us", "last")
    device.hears("disconnect")
    client.loop_stop()


def test_accepts_once_and_refuses_then(tenant: Tenant, device: Device) -> None:
    tenant.fault(where="mqtt", do="tls-unknown-ca", serials=[device.serial], accept_first=1)
    client = device.connect()
    assert device.hears("connack") == ACCEPTED
    assert device.alert() == "TLSV1_ALERT_UNKNOWN_CA"
    assert tenant.drop(device.name)
    device.hears("disconnect")
    client.loop_stop()


def test_faults_of_tokens(tenant: Tenant, device: Device) -> None:
    tenant.fault(where="token", do="malformed", payload="71,broken", times=1)
    assert device.token() == "broken"
    tenant.fault(where="token", do="expired", times=1)
    url = f"https://localhost:{tenant.http_port}/tenant/currentTenant"
    for status in (401, 200):
        bearer = {"Authorization": f"Bearer {device.token()}"}
        assert requests.get(url, headers=bearer, verify=str(tenant.server_ca), timeout=20).status_code == status


def test_settings_are_checked(tenant: Tenant) -> None:
    for wrong in ({"est_fromat": "ber"}, {"est_format": "xml"}, {"lifetime_s": "long"}):
        with pytest.raises(TenantError, match=next(iter(wrong))):
            tenant.settings(**wrong)


@pytest.fixture
def local(device: Device, tmp_path: Path) -> Iterator[paho.Client]:
    """A client of a mosquitto that is bridged to the tenant."""
    if MOSQUITTO is None:
        pytest.skip("no mosquitto here")
    with bridged(MOSQUITTO, device, tmp_path) as client:
        yield client


def hear(device: Device, *wanted: tuple[str, str]) -> None:
    """Wait until the wanted have come, in this order; others may lie between."""
    for topic, text in wanted:
        while True:
            found = device.heard.get(timeout=20)
            if found[0] == topic and found[1].startswith(text):
                break


def test_a_mosquitto_bridge(tenant: Tenant, device: Device, local: paho.Client) -> None:
    hear(device, ("health", "1"))
    tenant.wait_connected(device.name, serial=device.serial)
    local.publish("c8y/s/uat", b"")
    hear(device, ("c8y/s/dat", "71,"))
    other = Device.__new__(Device)
    other.__dict__ = {**device.__dict__, "heard": queue.Queue()}
    client = other.connect()
    assert other.hears("connack") == ACCEPTED
    hear(device, ("health", "0"), ("health", "1"))
    other.hears("disconnect")
    client.loop_stop()
    assert tenant.wait_connected(device.name, connections=3)["evictions"] == 2
    local.publish("c8y/s/us", "100,bridge,type", qos=1)
    assert tenant.wait_messages(device.name, topic="s/us")[0]["payload"] == "100,bridge,type"
    tenant.publish(device.name, "s/ds", "510,restart", qos=1)
    hear(device, ("c8y/s/ds", "510,restart"))
    local.publish("c8y/s/uat", b"")
    hear(device, ("c8y/s/dat", "71,"))


def test_a_bridge_that_marks_itself(tenant: Tenant, device: Device, tmp_path: Path) -> None:
    if MOSQUITTO is None:
        pytest.skip("no mosquitto here")
    with bridged(MOSQUITTO, device, tmp_path, private="true"):
        hear(device, ("health", "1"))


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
