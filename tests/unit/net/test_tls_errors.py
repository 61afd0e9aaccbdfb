# SPDX-License-Identifier: Apache-2.0
"""Each way in which TLS with a server fails, by real handshakes, and its message for HTTPS, MQTT and tokens."""

import datetime
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from pytest_mock import MockerFixture

from tedge_cert.deadline import bounded
from tedge_cert.errors import CertificateError, ConfigurationError, NoAnswerError
from tedge_cert.net import anchors, https
from tedge_cert.net.anchors import Trust
from tedge_cert.net.https import Request
from tedge_cert.net.tls import client_context
from tedge_cert.tenant import device_token, own_connection, proof
from unit.answering import ROOTS
from unit.certificates import key_pem, new_key
from unit.connected import certify, configure, hurry, key_file, tenant_of
from unit.local_device import LocalDevice
from unit.tls_server import TlsServer


@contextmanager
def serving(context: ssl.SSLContext | None) -> Iterator[int]:
    """A server that ends the connection after the handshake; without a context it speaks plain HTTP."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection = listener.accept()[0]
                with suppress(OSError), connection:
                    if context is None:
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                        connection.recv(65_536)
                    else:
                        context.wrap_socket(connection, server_side=True).recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def sending(content: bytes) -> Iterator[int]:
    """Send `content` to every client, whatever it says, and wait until it has gone."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with suppress(OSError), connection:
                    connection.sendall(content)
                    while connection.recv(65_536):
                        pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def server(kind: str, root: Path) -> ssl.SSLContext:
    """A server whose certificate has a flaw; its anchor is written to `root`."""
    authority, now = trustme.CA(), datetime.datetime.now(datetime.UTC)
    authority.cert_pem.write_to_path(str(root))
    day = datetime.timedelta(days=1)
    dates = {"expired": (now - 9 * day, now - day), "not yet": (now + day, now + 9 * day)}
    begins, ends = dates.get(kind, (now - day, now + day))
    name = "other.example" if kind == "other name" else "127.0.0.1"
    made = authority.issue_cert(name, not_before=begins, not_after=ends)
    if kind == "stranger":
        trustme.CA().cert_pem.write_to_path(str(root))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.configure_cert(context)
    return context


WORDS = {
    "expired": "has expired: its operator has to renew it, unless the clock of this device",
    "not yet": "is not valid yet: probably the clock of this device",
    "other name": "is for another name",
    "stranger": "not trusted",
}


@pytest.mark.parametrize("kind", WORDS)
def test_a_server_with_a_flaw(
    local_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    hurry(mocker)
    certify(local_device)
    root = local_device.directory / "root.pem"
    context = server(kind, root)
    configure(local_device, str(local_device.tenant.server_ca), str(root))
    with serving(context) as port:
        configure(local_device, f"127.0.0.1:{local_device.tenant.mqtt_port}", f"127.0.0.1:{port}")
        tenant = tenant_of(local_device)
        tenant = replace(tenant, token_server=replace(tenant.token_server, host=f"127.0.0.1:{port}"))
        with pytest.raises(NoAnswerError) as caught:
            https.ask(replace(tenant, host=f"127.0.0.1:{port}"), Request("GET", "/"))
        verdict = proof.prove_own(tenant)
        assert device_token.request(tenant) is None
        said = [str(caught.value), verdict.reason, proof.why_no_tls(tenant)]
    said.append(capsys.readouterr().err)
    assert verdict.answer is own_connection.Answer.NO_ANSWER
    for each in said:
        assert WORDS[kind] in each, said
        assert (f"set {ROOTS} ({root})" in each) is (kind == "stranger")


def test_a_server_that_does_not_speak_tls(local_device: LocalDevice) -> None:
    certify(local_device)
    with serving(None) as port:
        configure(local_device, f"127.0.0.1:{local_device.tenant.mqtt_port}", f"127.0.0.1:{port}")
        tenant = tenant_of(local_device)
        assert "it does not speak TLS there: check the port" in proof.why_no_tls(tenant)
        with pytest.raises(NoAnswerError, match="it does not speak TLS there"):
            https.ask(replace(tenant, host=f"127.0.0.1:{port}"), Request("GET", "/"))


@pytest.mark.parametrize(
    ("openssl", "tpm", "said"),
    [
        ((3, 0, 0), False, "it ended the handshake and gave no reason"),
        ((3, 5, 0), True, "it ended the handshake and gave no reason"),
        ((3, 0, 0), True, "with a private key in the TPM, Debian 12 can TLS 1.3 with X25519 only"),
    ],
)
def test_a_server_that_shares_no_cipher_gives_no_reason(
    local_device: LocalDevice,
    openssl: tuple[int, ...],
    tpm: bool,
    said: str,
    mocker: MockerFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certify(local_device)
    mocker.patch("ssl.OPENSSL_VERSION_INFO", openssl)
    if tpm:
        monkeypatch.setenv("TPM2OPENSSL_TCTI", "device:/dev/tpmrm0")
    root = local_device.directory / "root.pem"
    context = server("fine", root)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("PSK")
    configure(local_device, str(local_device.tenant.server_ca), str(root))
    with serving(context) as port:
        configure(local_device, f"127.0.0.1:{local_device.tenant.mqtt_port}", f"127.0.0.1:{port}")
        assert said in proof.why_no_tls(tenant_of(local_device))


def test_a_handshake_that_is_too_long(local_device: LocalDevice) -> None:
    """OpenSSL accepts any number of authority names, but not a chain of any length."""
    certify(local_device)
    own, chain = local_device.tenant.server_ca.with_name("server.pem"), local_device.directory / "chain.pem"
    chain.write_bytes(own.read_bytes() + local_device.tenant.server_ca.read_bytes() * 400)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, own.with_suffix(".key"))
    with serving(context) as port:
        configure(local_device, f"127.0.0.1:{local_device.tenant.mqtt_port}", f"127.0.0.1:{port}")
        assert "it sends more in its handshake than TLS here takes" in proof.why_no_tls(tenant_of(local_device))


@pytest.mark.parametrize("announced", [65_534, 65_536, 1 << 20])
def test_a_message_that_only_announces_its_length(local_device: LocalDevice, announced: int) -> None:
    """A server that sends nothing but the begin of a certificate message, in records as long as TLS allows."""
    certify(local_device)
    message = b"\x0b" + announced.to_bytes(3, "big") + bytes(announced)
    records = (message[at : at + 16_384] for at in range(0, len(message), 16_384))
    with sending(b"".join(b"\x16\x03\x03" + len(each).to_bytes(2, "big") + each for each in records)) as port:
        configure(local_device, f"127.0.0.1:{local_device.tenant.mqtt_port}", f"127.0.0.1:{port}")
        said = proof.why_no_tls(tenant_of(local_device))
    assert "its handshake has a message out of place, which can be one that is too long" in said
    assert "tedge cert" not in said


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("copies", [0, 400])
def test_our_own_handshake_can_be_too_long(local_device: LocalDevice, version: ssl.TLSVersion, copies: int) -> None:
    """OpenSSL takes a hundred kilobytes of certificates. A chain of usual length is not blamed."""
    certify(local_device)
    local_device.certificate.write_bytes(
        local_device.certificate.read_bytes() + local_device.tenant.device_ca.read_bytes() * copies
    )
    with TlsServer(local_device.tenant, version, alert=0 if copies else 80) as server:
        configure(local_device, f"127.0.0.1:{local_device.tenant.mqtt_port}", f"127.0.0.1:{server.port}")
        tenant = tenant_of(local_device)
        said = own_connection.attempt(tenant, own_connection.own_context(tenant)).reason
    assert said.startswith(f"no answer from 127.0.0.1:{server.port}: ")
    words = "may be too long for the server: shorten the chain in that file"
    assert (f"the handshake of this device is very long ({local_device.certificate} has " in said) is bool(copies)
    assert (words in said) is bool(copies)


@pytest.mark.parametrize("alert", [40, 42, 46, 48])
def test_user_and_password_are_no_certificate(local_device: LocalDevice, alert: int) -> None:
    """handshake_failure, bad_certificate, certificate_unknown, unknown_ca: none was shown."""
    credentials = local_device.directory / "credentials.toml"
    credentials.write_text('[c8y]\nusername = "t1/device"\npassword = "x"\n')
    credentials.chmod(0o600)
    file = local_device.directory / "tedge.toml"
    text = file.read_text().replace("[c8y]\n", f'[c8y]\nauth_method = "basic"\ncredentials_path = "{credentials}"\n')
    file.write_text(text.replace("[device]\n", '[device]\nid = "device-1"\n'))
    with TlsServer(local_device.tenant, alert=alert) as server:
        configure(local_device, f"127.0.0.1:{local_device.tenant.mqtt_port}", f"127.0.0.1:{server.port}")
        refused = local_device.run("tedge-connect c8y")
    assert refused.exit == 1
    error = refused.stderr.partition("error: ")[2]
    assert f"no answer from 127.0.0.1:{server.port}" in error
    for word in ("tedge cert", "this certificate", "tedge-certificate"):
        assert word not in error


@pytest.mark.parametrize(
    ("days", "words"),
    [(90, "trusted there?"), (-3, "it expired 3d"), (None, "is the clock of this device right?")],
)
def test_why_a_certificate_is_refused(local_device: LocalDevice, days: float | None, words: str) -> None:
    """The message depends on the validity of the certificate."""
    if days is None:
        certify(local_device, 90, not_before_offset_s=86_400)
    else:
        certify(local_device, days, not_before_offset_s=-10 * 86_400)
    assert words in own_connection.why_refused(local_device.certificate)


def test_the_bridge_of_a_server_that_is_not_trusted(local_device: LocalDevice, mocker: MockerFixture) -> None:
    certify(local_device)
    configure(local_device, str(local_device.tenant.server_ca), str(local_device.tenant.device_ca))
    refused = local_device.run("tedge-connect c8y")
    assert refused.exit == 1
    assert f"is not trusted (self-signed certificate in certificate chain): set {ROOTS}" in refused.stderr
    assert local_device.run("tedge-connect c8y --offline").exit == 0
    local_device.start_broker()
    tenant = tenant_of(local_device)
    assert f"set {ROOTS} ({local_device.tenant.device_ca})" in proof.why_no_tls(tenant)


def test_a_key_of_another_certificate(local_device: LocalDevice) -> None:
    certify(local_device)
    key_file(local_device).write_bytes(key_pem(new_key()))
    with pytest.raises(CertificateError, match=r"device\.key_path and device\.cert_path name"):
        client_context(tenant_of(local_device).trust, local_device.certificate, key_file(local_device))


def test_a_key_of_a_tpm_that_cannot_be_used(local_device: LocalDevice) -> None:
    certify(local_device)
    key_file(local_device).write_text("-----BEGIN TSS2 PRIVATE KEY-----\nMAA=\n-----END TSS2 PRIVATE KEY-----\n")
    with pytest.raises(CertificateError, match="does not have this key; `sudo tedge reconnect c8y` names the cause"):
        client_context(tenant_of(local_device).trust, local_device.certificate, key_file(local_device))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing", None, "there are no trust anchors at"),
        ("empty", b"", "the file is empty"),
        ("der", b"\x30\x82\x01", "the file is DER, expected PEM"),
        ("key", b"-----BEGIN PRIVATE KEY-----\n", "there is no certificate in the file"),
        ("dir", {}, "the directory is empty"),
        ("dir", {"root.crt": b"x"}, "openssl rehash"),
    ],
)
def test_trust_anchors_that_anchor_nothing(
    tmp_path: Path, name: str, content: bytes | dict[str, bytes] | None, words: str
) -> None:
    path = tmp_path / name
    if isinstance(content, dict):
        path.mkdir()
        for each, text in content.items():
            (path / each).write_bytes(text)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words) as caught:
        anchors.check(Trust(path, ROOTS))
    assert str(path) in str(caught.value)
    assert ROOTS in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "empty directory", "empty file"])
def test_the_anchors_of_the_system_come_with_a_package(tmp_path: Path, mocker: MockerFixture, kind: str) -> None:
    path = tmp_path / "certs"
    if kind == "empty directory":
        path.mkdir()
    elif kind == "empty file":
        path.touch()
    with pytest.raises(ConfigurationError, match=str(path)) as caught:
        anchors.check(Trust(path, ROOTS))
    assert "apt install" not in str(caught.value)
    mocker.patch.object(anchors, "_OF_SYSTEM", (path,))
    with pytest.raises(ConfigurationError, match="`sudo apt install ca-certificates`"):
        anchors.check(Trust(path, ROOTS))


@pytest.mark.parametrize("kind", ["endless", "pipe", "large"])
def test_trust_anchors_that_would_be_read_for_ever(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "anchors"
    if kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        with path.open("wb") as file:
            file.truncate(anchors.LIMIT_BYTES + 1)
    with bounded(10, "the check"), pytest.raises(ConfigurationError, match=f"cannot read the trust anchors {path}"):
        anchors.check(Trust(path, ROOTS))
