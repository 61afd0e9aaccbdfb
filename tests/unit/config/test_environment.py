# SPDX-License-Identifier: Apache-2.0
"""The environment changes neither server nor TLS, old TLS is not spoken, and only the tenant gets a token."""

import os
import socket
import ssl
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from tedge_cert.commands import http
from tedge_cert.errors import NoAnswerError, TedgeCertError
from tedge_cert.net import https
from tedge_cert.net.anchors import Trust
from tedge_cert.net.https import Request
from tedge_cert.net.tls import ClientContext, client_context
from tedge_cert.tenant import rest
from unit.answering import ROOTS, answering, server_at
from unit.certificates import make
from unit.connected import certify, serials
from unit.local_device import LocalDevice

MADE = make()
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def hostile(directory: Path) -> dict[str, str]:
    """Set every variable that makes programs use a proxy, trust other authorities, or log their secrets."""
    netrc, others = directory / "netrc", directory / "others.pem"
    netrc.write_text("default login other password else\n")
    netrc.chmod(0o600)
    trustme.CA().cert_pem.write_to_path(str(others))
    proxies = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy")
    return {
        **dict.fromkeys(proxies, "http://127.0.0.1:9"),
        **dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), str(others)),
        "SSL_CERT_DIR": str(directory),
        "NETRC": str(netrc),
        "SSLKEYLOGFILE": str(directory / "keys.log"),
    }


def test_the_environment_is_not_asked(local_device: LocalDevice, tmp_path: Path) -> None:
    certify(local_device)
    done = local_device.run("tedge-cert-renew c8y", 200, **hostile(tmp_path))
    assert done.exit == 0, done
    assert serials(local_device)[1]
    assert local_device.run("tedge-cert-verify c8y", 200, **hostile(tmp_path)).exit == 0
    got = local_device.run("tedge-http get /c8y/tenant/currentTenant", 200, **hostile(tmp_path))
    assert got.exit == 0, got
    assert not (tmp_path / "keys.log").exists()
    used = [each for each in local_device.tenant.state()["requests"] if each["path"] == "/tenant/currentTenant"]
    assert used[-1]["status"] == 200


def test_others_that_the_environment_trusts_are_not_trusted(local_device: LocalDevice, tmp_path: Path) -> None:
    certify(local_device)
    file = local_device.directory / "tedge.toml"
    others = tmp_path / "others"
    others.mkdir()
    variables = {**hostile(tmp_path), "SSL_CERT_FILE": str(local_device.tenant.server_ca)}
    variables["REQUESTS_CA_BUNDLE"] = variables["SSL_CERT_FILE"]
    file.write_text(file.read_text().replace(str(local_device.tenant.server_ca), str(others)))
    done = local_device.run("tedge-cert-renew c8y", 200, **variables)
    assert done.exit == 1
    assert "c8y.root_cert_path" in done.stderr
    assert serials(local_device)[1] is None


@contextmanager
def old_tls(directory: Path) -> Iterator[tuple[int, list[str]]]:
    """A server, trusted and of the right name, that speaks TLS 1.1 at most."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "root.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        # Python deprecates what no server should speak; this one does it on purpose.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    authority.issue_cert("localhost").configure_cert(context)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client = listener.accept()[0]
                try:
                    with context.wrap_socket(client, server_side=True) as secured:
                        spoken.append(secured.version() or "")
                except ssl.SSLError as error:
                    spoken.append(error.reason or "")

    spoken: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], spoken
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def by_https(port: int, directory: Path) -> None:
    https.ask(server_at(port, directory / "root.pem"), Request("GET", "/"))


def by_https_with_a_certificate(port: int, directory: Path) -> None:
    server = server_at(port, directory / "root.pem")
    https.ask(server, Request("GET", "/"), context=context_with_a_certificate(directory))


def context_with_a_certificate(directory: Path) -> ClientContext:
    (directory / "c.pem").write_bytes(MADE.pem)
    (directory / "k.pem").write_bytes(MADE.key_pem)
    return client_context(Trust(directory / "root.pem", ROOTS), directory / "c.pem", directory / "k.pem")


def by_mqtt(port: int, directory: Path) -> None:
    context = context_with_a_certificate(directory)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        context.wrap_socket(plain, server_hostname="localhost")


def by_default(port: int, directory: Path) -> None:
    """As a program that leaves the versions to openssl.cnf."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(directory / "root.pem")
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        context.wrap_socket(plain, server_hostname="localhost")


LEGACY = """openssl_conf = all
[all]
ssl_conf = parts
[parts]
system_default = legacy
[legacy]
MinProtocol = TLSv1
CipherString = DEFAULT@SECLEVEL=0
"""


def shake_hands(ask: Callable[[int, Path], None], directory: Path) -> tuple[str, list[str]]:
    """Run ``ask`` in a process with an openssl.cnf that allows old TLS.

    Return its error, and for each connection the version spoken, or why the server ended it.
    """
    (directory / "openssl.cnf").write_text(LEGACY)
    # OpenSSL reads it once in the life of a process.
    program = (
        f"from pathlib import Path; from unit.config.test_environment import {ask.__name__} as ask\n"
        f"try: ask(int({{port}}), Path({str(directory)!r}))\n"
        "except Exception as error: print(error)"
    )
    environment = {**os.environ, "OPENSSL_CONF": str(directory / "openssl.cnf"), "PYTHONPATH": ":".join(sys.path)}
    with old_tls(directory) as (port, spoken):
        done = subprocess.run(
            [sys.executable, "-c", program.format(port=port)],
            env=environment, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    return done.stdout, spoken


@pytest.mark.parametrize("ask", [by_https, by_https_with_a_certificate, by_mqtt])
def test_old_tls_is_not_spoken(tmp_path: Path, ask: Callable[[int, Path], None]) -> None:
    error, spoken = shake_hands(ask, tmp_path)
    assert "TLS" in error
    # By its version: one that is refused for its certificate would have been spoken with.
    assert set(spoken) == {"UNSUPPORTED_PROTOCOL"}


def test_old_tls_is_spoken_by_others(tmp_path: Path) -> None:
    """Otherwise the tests above could not fail."""
    assert shake_hands(by_default, tmp_path) == ("", ["TLSv1.1"])


@pytest.mark.parametrize(
    "uri",
    ["/c8y//evil.example/x", "/c8y/@evil.example/", "/c8y/../../x", "/c8y/\\evil.example", "/c8y/x\r\nX: y", "/c8y?@e"],
)  # fmt: skip
def test_a_token_goes_to_the_tenant_alone(tmp_path: Path, uri: str) -> None:
    with answering(tmp_path, OK) as server:
        answer = rest.as_device(server.by_https, Request("GET", http.path_of(uri)), lambda _: "a.b.c")
    assert answer.status == 200
    head = server.asked[0].split(b"\r\n")
    assert head[0].startswith(b"GET /")
    assert [each for each in head if each.lower().startswith(b"host:")] == [f"Host: localhost:{server.port}".encode()]


@pytest.mark.parametrize(
    "uri", ["https://evil.example/", "//evil.example/", "/c8y@evil.example/", "/c8yevil", "c8y/x", "", "http://127.0.0.1/c8y/"]
)  # fmt: skip
def test_another_address_is_refused_before_there_is_a_token(uri: str) -> None:
    with pytest.raises(TedgeCertError, match="expected /c8y/"):
        http.path_of(uri)


@contextmanager
def dripping(directory: Path, head: bytes) -> Iterator[int]:
    """A server that sends `head`, then an octet each tenth of a second, without end."""
    authority, over = trustme.CA(), threading.Event()
    authority.cert_pem.write_to_path(str(directory / "root.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    def serve() -> None:
        with suppress(OSError), context.wrap_socket(listener.accept()[0], server_side=True) as secured:
            secured.sendall(head)
            while not over.wait(0.1):
                secured.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        over.set()
    thread.join(10)


@pytest.mark.usefixtures("_no_alarm")
@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX: ", LONG])
def test_one_deadline_for_a_server_that_drips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr(https, "DEADLINE_S", 1.0)
    with dripping(tmp_path, head) as port, pytest.raises(NoAnswerError, match="the whole request took longer than 1 s"):
        by_https(port, tmp_path)
