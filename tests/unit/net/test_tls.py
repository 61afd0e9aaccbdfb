# SPDX-License-Identifier: Apache-2.0
"""TLS towards the tenant: what a context needs, and which alerts are about our certificate."""

import os
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
import trustme

from tedge_cert.errors import CertificateError, ConfigurationError
from tedge_cert.net.anchors import Trust
from tedge_cert.net.mqtt import Connection
from tedge_cert.net.tls import ClientContext, client_context, refusal_in
from unit.answering import ROOTS
from unit.certificates import make
from unit.children import environment_for
from unit.connected import certify, key_file, tenant_of
from unit.local_device import LocalDevice


def context_of(device: LocalDevice, trust: Path | None = None) -> ClientContext:
    return client_context(Trust(trust or device.tenant.server_ca, ROOTS), device.certificate, key_file(device))


def connect(device: LocalDevice, trust: Path | None = None, host: str = "127.0.0.1") -> None:
    endpoint = (host, device.tenant.mqtt_port)
    Connection(endpoint, device.device_id, 10, context_of(device, trust)).close()


def test_a_directory_of_anchors(local_device: LocalDevice, tmp_path: Path) -> None:
    certify(local_device)
    anchors = tmp_path / "anchors"
    anchors.mkdir()
    (anchors / "gone.pem").symlink_to("nothing")
    (anchors / "root.pem").write_bytes(local_device.tenant.server_ca.read_bytes())
    with pytest.raises(ConfigurationError, match=f"openssl rehash {anchors}"):
        connect(local_device, anchors)
    command = ["openssl", "x509", "-hash", "-noout", "-in", str(local_device.tenant.server_ca)]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    (anchors / f"{name}.0").write_bytes(local_device.tenant.server_ca.read_bytes())
    connect(local_device, anchors)


# Files that `openssl rehash` leaves out: the message has another cure, which is typed here.
LEFT_OUT: dict[str, dict[str, tuple[str, ...]]] = {
    "several in a file": {"roots.pem": ("other", "root")},
    "another ending": {"root": ("root",)},
    "a directory": {"more/root.pem": ("root",), "other.pem": ("other",)},
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_anchors_that_rehash_leaves_out(local_device: LocalDevice, tmp_path: Path, kind: str) -> None:
    certify(local_device)
    # Two files without a line break at their end could not be joined as they are.
    pem = {"root": local_device.tenant.server_ca.read_text().strip(), "other": make().pem.decode().strip()}
    for name, contents in LEFT_OUT[kind].items():
        file = tmp_path / "all anchors" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(pem[each] for each in contents))
    with pytest.raises(ConfigurationError) as caught:
        connect(local_device, tmp_path / "all anchors")
    _, join, put, *_ = str(caught.value).split("`")[1::2]
    joined = str(tmp_path / "joined.pem")
    assert put == f"sudo tedge config set {ROOTS} <file>.pem"
    subprocess.run(["sh", "-ec", join.replace("<file>.pem", joined)], check=True)
    connect(local_device, Path(joined))


def test_the_server_must_prove_its_name(local_device: LocalDevice) -> None:
    certify(local_device)
    connect(local_device, host="localhost")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"127\.1"):
        connect(local_device, host="127.1")
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        connect(local_device, local_device.tenant.device_ca)


def test_no_version_before_1_2(local_device: LocalDevice) -> None:
    certify(local_device)
    context = context_of(local_device)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


@pytest.mark.parametrize("content", [None, "", "garbage"])
def test_unusable_anchors(local_device: LocalDevice, tmp_path: Path, content: str | None) -> None:
    certify(local_device)
    trust = tmp_path / "anchors.pem"
    if content is not None:
        trust.write_text(content)
    with pytest.raises(ConfigurationError, match=rf"{trust}.*c8y\.root_cert_path"):
        context_of(local_device, trust)


@pytest.mark.parametrize("spoilt", ["certificate", "key", "pair"])
def test_unusable_certificates(local_device: LocalDevice, spoilt: str) -> None:
    certify(local_device)
    if spoilt == "certificate":
        local_device.certificate.write_text("garbage")
    if spoilt == "key":
        key_file(local_device).unlink()
    if spoilt == "pair":
        key_file(local_device).write_bytes(make().key_pem)
    with pytest.raises(CertificateError, match=rf"{local_device.certificate} with the key {key_file(local_device)}"):
        context_of(local_device)


@pytest.mark.parametrize(
    ("do", "words"), [("tls-unknown-ca", "unknown ca"), ("tls-revoked", "certificate revoked"), ("reset", None)]
)
def test_the_context_remembers_a_refusal(local_device: LocalDevice, do: str, words: str | None) -> None:
    serial = certify(local_device)
    local_device.tenant.fault(where="mqtt", do=do, serials=[serial])
    context, mqtt = context_of(local_device), tenant_of(local_device).mqtt
    with pytest.raises(OSError, match=r"closed|reset"):
        Connection(mqtt, local_device.device_id, 10, context)
    assert context.refusal == words


def test_a_refusal_is_read_from_a_server_that_has_closed() -> None:
    """It closes as soon as it has judged the certificate, and a busy device sends its request after that."""
    known, unknown = trustme.CA(), trustme.CA()
    serving, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    known.issue_cert("localhost").configure_cert(serving)
    unknown.issue_cert("device").configure_cert(ours)
    serving.verify_mode = ssl.CERT_REQUIRED
    for each in (serving, ours):
        known.configure_trust(each)

    def judge() -> None:
        client, _ = listener.accept()
        with client, suppress(ssl.SSLError):
            serving.wrap_socket(client, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=judge)
        server.start()
        with socket.create_connection(listener.getsockname()) as plain:
            secured = ours.wrap_socket(plain, server_hostname="localhost")
            server.join()
            # The kernel takes what is written first, and is told that nobody reads it.
            with pytest.raises(OSError, match=r"EOF|reset|pipe"):
                all(secured.send(b"POST") for _ in count())
    assert ours.refusal == "unknown ca"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("TLSV1_ALERT_UNKNOWN_CA", "unknown ca"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "bad certificate"),
        ("SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", "unsupported certificate"),
        ("SSLV3_ALERT_CERTIFICATE_REVOKED", "certificate revoked"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "certificate expired"),
        ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", "certificate unknown"),
        ("TLSV1_ALERT_ACCESS_DENIED", "access denied"),
        ("TLSV1_ALERT_DECRYPT_ERROR", "decrypt error"),
        ("TLSV1_ALERT_INTERNAL_ERROR", None),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", None),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", None),
        ("CERTIFICATE_VERIFY_FAILED", None),
        ("UNEXPECTED_EOF_WHILE_READING", None),
        (None, None),
    ],
)
def test_which_alerts_are_about_our_certificate(reason: str | None, words: str | None) -> None:
    error = ssl.SSLError(1, "as raised by OpenSSL")
    error.reason = reason  # type: ignore[assignment]
    assert refusal_in(error) == words


LOADING = """
import resource, sys
from pathlib import Path
from tedge_cert.errors import CertificateError, ConfigurationError
from tedge_cert.net.anchors import Trust
from tedge_cert.net.tls import client_context
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
try:
    client_context(Trust(Path(sys.argv[1]), "c8y.root_cert_path"), Path(sys.argv[2]), Path(sys.argv[3]))
except (CertificateError, ConfigurationError) as error:
    print(error)
"""


@pytest.mark.parametrize("odd", ["pipe", "device"])
@pytest.mark.parametrize("place", ["anchors", "entry of anchors", "certificate", "key"])
def test_no_pipe_and_no_device_is_read(tmp_path: Path, odd: str, place: str) -> None:
    """OpenSSL would wait for the one, and read the other for ever."""
    made = make()
    (tmp_path / "anchors").mkdir()
    paths = {
        "anchors": tmp_path / "anchors.pem",
        "certificate": tmp_path / "certificate.pem",
        "key": tmp_path / "key.pem",
        "entry of anchors": tmp_path / "anchors" / "01234567.0",
    }
    for name, path in paths.items():
        if name != place:
            path.write_bytes(made.key_pem if name == "key" else made.pem)
        elif odd == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero")
    trust = paths["anchors"] if place == "anchors" else tmp_path / "anchors"
    # In a child with a bound on its time, because nothing interrupts OpenSSL.
    argv = [sys.executable, "-c", LOADING, str(trust), str(paths["certificate"]), str(paths["key"])]
    done = subprocess.run(
        argv, env=environment_for(None), capture_output=True, encoding="utf-8", timeout=20, check=False
    )
    assert "is not a regular file" in done.stdout, done.stderr
