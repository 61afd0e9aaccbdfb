# SPDX-License-Identifier: Apache-2.0
"""Whom we speak to and by what: the environment changes nothing, old TLS is not spoken, a token goes to the tenant."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from tedge_cert.authority import est_wire
from tedge_cert.commands import http
from tedge_cert.errors import NoAnswerError, TedgeCertError
from tedge_cert.net import https
from tedge_cert.net.tls import client_context
from tedge_cert.tenant import rest
from unit.answering import answering
from unit.certificates import make
from unit.connected import certify, serials
from unit.local_device import LocalDevice

MADE = make()
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def hostile(directory: Path) -> dict[str, str]:
    """Every variable by which programs are told to go elsewhere, to trust others, or to write down their secrets."""
    netrc, others = directory / "netrc", directory / "others.pem"
    netrc.write_text("default login somebody password else\n")
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
def old_tls(directory: Path) -> Iterator[int]:
    """A server, trusted and of the right name, that speaks TLS 1.1 at most."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "root.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    authority.issue_cert("localhost").configure_cert(context)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client = listener.accept()[0]
                with suppress(OSError), context.wrap_socket(client, server_side=True) as secured:
                    spoken.append(secured.version() or "")

    spoken: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    assert spoken == []


def by_est(port: int, directory: Path) -> None:
    est_wire.reenrol(f"localhost:{port}", "a.b.c", b"request", directory / "root.pem")


def by_token(port: int, directory: Path) -> None:
    rest.send(f"localhost:{port}", rest.Request("GET", "/"), "a.b.c", directory / "root.pem", 10)


def by_mqtt(port: int, directory: Path) -> None:
    (directory / "c.pem").write_bytes(MADE.pem)
    (directory / "k.pem").write_bytes(MADE.key_pem)
    context = client_context(directory / "root.pem", directory / "c.pem", directory / "k.pem")
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        context.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("ask", [by_est, by_token, by_mqtt])
def test_old_tls_is_not_spoken(tmp_path: Path, ask: Callable[[int, Path], None]) -> None:
    with old_tls(tmp_path) as port, pytest.raises((NoAnswerError, ssl.SSLError)):
        ask(port, tmp_path)


@pytest.mark.parametrize(
    "uri",
    ["/c8y//evil.example/x", "/c8y/@evil.example/", "/c8y/../../x", "/c8y/\\evil.example", "/c8y/x\r\nX: y", "/c8y?@e"],
)  # fmt: skip
def test_a_token_goes_to_the_tenant_alone(tmp_path: Path, uri: str) -> None:
    with answering(tmp_path, OK) as server:
        request = rest.Request("GET", http.path_of(uri))
        answer = rest.send(f"localhost:{server.port}", request, "a.b.c", server.trust, 10)
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
        by_est(port, tmp_path)
