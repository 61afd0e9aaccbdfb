# SPDX-License-Identifier: Apache-2.0
"""Why a connection failed, in words: nothing of a library reaches a person."""

import http.client
import re
import socket
import ssl
from dataclasses import replace
from typing import Any

import pytest
from pytest_mock import MockerFixture
from urllib3.exceptions import DecodeError

from tedge_cert import journal
from tedge_cert.errors import NoAnswerError, RequestRefusedError
from tedge_cert.net import https
from tedge_cert.net.authorization import basic
from tedge_cert.net.failures import innermost, reason_of
from tedge_cert.net.https import BrokenExchangeError, Request
from tedge_cert.net.tls import client_context
from tedge_cert.tenant import proof, token
from tenant.ports import free_port
from unit.connected import certify, hurry, tenant_of
from unit.local_device import LocalDevice
from unit.tls_server import TlsServer

# Of ssl, errno, repr, urllib3, requests and paho.
LIBRARY = re.compile(r"_ssl\.c|\[SSL|\[Errno|Error\(|object at 0x|HTTPSConnection|urllib3|Max retries")


def of_openssl(reason: str | None) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] (_ssl.c:3874)")
    error.reason = reason  # type: ignore[assignment]
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "its name cannot be looked up (Name or service not known)"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (ConnectionError(113, "No route to host"), "No route to host"),
        (TimeoutError("_ssl.c:989: The handshake operation timed out"), "nothing came in time"),
        (TimeoutError("the whole request took longer than 2 s"), "the whole request took longer than 2 s"),
        (http.client.RemoteDisconnected("Remote end closed"), "it closed the connection without an answer"),
        (http.client.IncompleteRead(b""), "the answer was cut off"),
        (http.client.BadStatusLine("x"), "what answers there does not speak HTTP"),
        (DecodeError("x"), "its answer cannot be read (DecodeError)"),
        (of_openssl("PEM_LIB"), "pem lib"),
        (of_openssl(None), "no reason given"),
        (ssl.SSLEOFError(8, "EOF occurred (_ssl.c:2393)"), "it closed the connection and gave no reason"),
    ],
)
def test_words(error: BaseException, words: str) -> None:
    assert reason_of(innermost(error)) == words
    assert reason_of(innermost(OSError(OSError(error)))) == words


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("body", [None, b"x" * 300_000], ids=["small", "large"])
def test_an_alert_about_our_certificate_is_a_refusal_in_https(
    local_device: LocalDevice, version: ssl.TLSVersion, body: bytes | None
) -> None:
    """In TLS 1.3 it comes with the first read, and the libraries make another error of it on each Debian."""
    certify(local_device)
    tenant = tenant_of(local_device)
    with TlsServer(local_device.tenant, version) as server:
        context = client_context(tenant.trust, tenant.certificate, tenant.key)
        tenant = replace(tenant, host=f"127.0.0.1:{server.port}", mqtt=("127.0.0.1", server.port))
        with pytest.raises(BrokenExchangeError) as caught:
            https.ask(tenant, Request("POST", "/", {}, body), context=context)
        assert caught.value.alert == "unknown ca"
        said = f"https://127.0.0.1:{server.port}/ refused the certificate of this device (TLS alert: unknown ca)"
        assert str(caught.value) == said
        with pytest.raises(RequestRefusedError, match=r"refused the certificate \(TLS alert: unknown ca\)"):
            token.request_token(tenant, None, again=True)
        # Without a certificate there is nothing to refuse.
        with pytest.raises(NoAnswerError) as silent:
            https.ask(tenant, Request("GET", "/"))
    assert not LIBRARY.search(str(silent.value)), str(silent.value)


@pytest.mark.parametrize("host", ["nosuch.invalid", "127.0.0.1"])
def test_no_library_speaks(
    local_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    hurry(mocker)
    certify(local_device)
    port = free_port()
    tenant = replace(tenant_of(local_device), host=f"{host}:{port}", mqtt=(host, port))
    with pytest.raises(NoAnswerError) as caught:
        https.ask(tenant, Request("GET", "/"))
    verdict = proof.prove_own(tenant)
    with pytest.raises(NoAnswerError) as without:
        token.request_token(tenant, None, again=True)
    said = [str(caught.value), verdict.reason, str(without.value), capsys.readouterr().err]
    assert not [each for each in said if LIBRARY.search(each)], said
    assert verdict.reason not in said[-1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "security/Forbidden", "message": "Access is denied", "info": "https://x"}, ": Access is denied; "),
        ({"error": "security/Forbidden"}, "answered 403 Forbidden; "),
        ([{"message": "x"}], "answered 403 Forbidden; "),
        ("<!DOCTYPE html><p>No</p>", "answered 403 Forbidden; "),
        ("{ not quite JSON", "answered 403 Forbidden; "),
        ("as text", ": as text; "),
    ],
)
def test_the_message_of_a_refusal_without_its_json(local_device: LocalDevice, body: Any, said: str) -> None:
    local_device.tenant.fault(where="est", do="status", status=403, body=body)
    answer = https.ask(tenant_of_unregistered(local_device), Request("POST", "/.well-known/est/simpleenroll"))
    assert said in str(https.refusal(answer, {}))
    assert '"' not in str(https.refusal(answer, {}))


def tenant_of_unregistered(device: LocalDevice) -> Any:
    certify(device)
    return tenant_of(device)


def test_debug_shows_requests_and_answers_without_secrets(
    local_device: LocalDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    certify(local_device)
    journal.set_threshold(journal.DEBUG)
    tenant = tenant_of(local_device)
    login, secret = basic("u", "never-printed"), "never-printed"
    try:
        given = token.request_token(tenant, None, again=True)
        local_device.tenant.fault(where="est", do="status", status=403, body=f"no {secret} {login['Authorization']}")
        https.ask(tenant, Request("POST", "/.well-known/est/simpleenroll", {**login, "X-Shown": "yes"}, b"abc"))
    finally:
        journal.set_threshold(journal.INFO)
    said = capsys.readouterr().err
    assert f"> POST {tenant.url_of('/.well-known/est/simpleenroll')} (3 bytes)" in said
    assert "Authorization: [hidden]; X-Shown: yes\n" in said
    assert "< 403 Forbidden (" in said
    assert "< no [hidden] Basic [hidden]\n" in said
    steps = [line for line in said.splitlines() if line.startswith("mqtt: ")]
    assert steps[1:4] == ["mqtt: CONNACK 0", "mqtt: subscribe s/dat", "mqtt: publish s/uat (0 characters)"]
    assert "mqtt: message on s/dat (" in said
    assert not [each for each in (given, secret, login["Authorization"].split()[1]) if each in said]
