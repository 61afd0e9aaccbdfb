# SPDX-License-Identifier: Apache-2.0
"""The HTTP proxy: it carries every HTTPS request and nothing more, and its password is never printed or stored."""

import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from pytest_mock import MockerFixture

from tedge_cert.device.connection_settings import proxy_of, server_of
from tedge_cert.errors import ConfigurationError, NoAnswerError
from tedge_cert.net import https, proxy
from tedge_cert.net.https import Request
from tedge_cert.status import gather
from tedge_cert.tenant import device_token, proof
from tenant.ports import free_port
from unit.answering import answering
from unit.connect_proxy import ConnectProxy
from unit.connected import certify, hurry, instance_of, tenant_of
from unit.local_device import LocalDevice, Result

PASSWORD = "gate:word %41 ä"


def use(device: LocalDevice, address: str, **settings: str) -> None:
    """Set the proxy; a value may have any characters."""
    lines = [f'{key} = "{value}"' for key, value in {"address": address, **settings}.items()]
    file = device.directory / "tedge.toml"
    file.write_text(file.read_text() + "[proxy]\n" + "\n".join(lines) + "\n")


def get(device: LocalDevice) -> Result:
    return device.run("tedge-http --debug get /c8y/inventory/managedObjects")


@pytest.mark.parametrize("guarded", [False, True])
def test_every_request_by_https_takes_the_proxy(token_device: LocalDevice, guarded: bool) -> None:
    """The first certificate, a token for the certificate, a request, an upload, and the next certificate."""
    with ConnectProxy("gateway", PASSWORD) if guarded else ConnectProxy() as between:
        use(token_device, between.address, **({"username": "gateway", "password": PASSWORD} if guarded else {}))
        tenant = f"{token_device.tenant.address}:{token_device.tenant.http_port}"
        access = f"{token_device.tenant.address}:8443"
        steps: list[tuple[Callable[[], Result], list[str]]] = [
            # The time of the tenant first, then the password.
            (token_device.register, [tenant, tenant]),
            (lambda: get(token_device), [access, tenant]),
            (lambda: token_device.run("tedge-cert-upload c8y --user admin --password secret"), [tenant, tenant]),
            (lambda: token_device.run("tedge-cert-renew c8y"), [access, tenant]),
        ]
        for step, expected in steps:
            # Each certificate ends later than the one before, even if both are issued in the same second.
            token_device.tenant.settings(lifetime_s=31_536_000 + 60 * steps.index((step, expected)))
            between.tunnels.clear()
            result = step()
            assert result.exit == 0, result.stderr
            assert between.tunnels == expected
            assert PASSWORD not in result.stdout + result.stderr
        between.tunnels.clear()
        assert proof.prove_own(tenant_of(token_device)).accepted
        assert between.tunnels == []


def test_hosts_that_are_reached_directly(token_device: LocalDevice) -> None:
    with ConnectProxy() as between:
        use(token_device, between.address, no_proxy=f"x.example, {token_device.tenant.address}")
        assert token_device.register().exit == 0
        assert get(token_device).exit == 0
        assert between.tunnels == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "asks for a user (407): set proxy.username and proxy.password"),
        ({"username": "gateway", "password": "wrong-word"}, "does not accept proxy.username with proxy.password (407)"),
    ],
)
def test_a_proxy_that_does_not_know_us(token_device: LocalDevice, settings: dict[str, str], words: str) -> None:
    certify(token_device)
    with ConnectProxy("gateway", PASSWORD) as between:
        use(token_device, between.address, **settings)
        refused = token_device.run(
            "tedge-cert-download c8y --device-id x --one-time-password y --url t1.example --max-timeout 1"
        )
        assert words in refused.stderr
        assert f"the proxy {between.address} (proxy.address)" in refused.stderr
        asked = get(token_device)
        assert (asked.exit, words in asked.stderr) == (1, True)
        assert (between.tunnels, between.refused > 1) == ([], True)
        assert "wrong-word" not in refused.stderr + asked.stderr


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("down", "cannot be reached: "),
        ("forbids", "made no tunnel (403 Forbidden): ask its operator"),
        ("hangs-up", "no answer from https://"),
        ("silent", "no answer from https://"),
    ],
)
@pytest.mark.usefixtures("_no_alarm")
def test_a_proxy_that_makes_no_tunnel(
    token_device: LocalDevice,
    mocker: MockerFixture,
    capsys: pytest.CaptureFixture[str],
    behaviour: str,
    words: str,
) -> None:
    hurry(mocker, CONNECT_S=1.0)
    for name, seconds in (("CONNECT_S", 1.0), ("READ_S", 1.0), ("DEADLINE_S", 3.0)):
        mocker.patch.object(https, name, seconds)
    certify(token_device)
    with ConnectProxy(behaviour="works" if behaviour == "down" else behaviour) as between:
        address = f"http://127.0.0.1:{free_port()}" if behaviour == "down" else between.address
        use(token_device, address, username="gateway", password=PASSWORD)
        tenant = tenant_of(token_device)
        with pytest.raises(NoAnswerError) as caught:
            https.ask(tenant, Request("GET", "/x"))
        assert device_token.request(tenant) is None
        said = [str(caught.value), capsys.readouterr().err]
    assert all(words in each and address in each for each in said), said
    assert all(PASSWORD not in each for each in said)


@pytest.mark.parametrize(
    ("host", "exceptions", "direct"),
    [
        ("t1.example.com:443", "example.com", True),
        ("t1.example.com:443", ".example.com", True),
        ("t1.example.com", "*.example.com", True),
        ("T1.Example.com.", "t1.example.COM", True),
        ("t1.badexample.com", "example.com", False),
        ("example.com.evil.org", "example.com", False),
        ("t1.example.com", " other.org , t1.example.com ", True),
        ("t1.example.com", "*", True),
        ("t1.example.com", "", False),
        ("t1.example.com", ",", False),
        ("10.1.2.3:443", "10.0.0.0/8", True),
        ("11.1.2.3:443", "10.0.0.0/8", False),
        ("10.1.2.3:443", "10.1.2.3", True),
        ("[2001:db8::1]:443", "2001:db8::/32", True),
        ("[2001:db8::1]:443", "[2001:db8::1]", True),
        ("t1.example.com", "10.0.0.0/8", False),
    ],
)
def test_what_no_proxy_covers(local_device: LocalDevice, host: str, exceptions: str, direct: bool) -> None:
    use(local_device, "proxy.example:3128", no_proxy=exceptions, username="gateway", password=PASSWORD)
    found = proxy_of(instance_of(local_device).config, host)
    assert (found is None) is direct
    assert PASSWORD not in repr(found)


@pytest.mark.parametrize("trusted", [True, False])
def test_a_proxy_that_speaks_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool) -> None:
    """It is verified by the same anchors as the server, and by no others."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "of-the-proxy.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "of-the-proxy.pem"))
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with answering(tmp_path, ok) as server, ConnectProxy(tls=context) as between:
        if trusted:
            server.trust.write_bytes(server.trust.read_bytes() + authority.cert_pem.bytes())
        behind = replace(server.by_https, proxy=proxy.Proxy(between.address, {}))
        if trusted:
            assert https.ask(behind, Request("GET", "/")).status == 200
        else:
            with pytest.raises(NoAnswerError, match=between.address):
                https.ask(behind, Request("GET", "/"))
    assert between.tunnels == ([f"localhost:{server.port}"] if trusted else [])


def test_whether_the_tenant_answers_is_asked_by_the_proxy(local_device: LocalDevice) -> None:
    with ConnectProxy() as between:
        use(local_device, between.address)
        assert gather.gather(instance_of(local_device), online=True).answers is True
    assert between.tunnels == [f"127.0.0.1:{local_device.tenant.http_port}"]


def test_no_proxy_at_all(local_device: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy of the environment is for other programs."""
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
    assert server_of(instance_of(local_device).config).proxy is None
    assert local_device.register().exit == 0


def test_the_password_may_be_in_a_file_of_its_own(local_device: LocalDevice, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    use(local_device, "proxy.example:3128", username="gateway", password=PASSWORD)
    in_settings = proxy_of(instance_of(local_device).config, "tenant.example")
    said = local_device.run("tedge-cert-status c8y").stdout
    assert f"everybody on this device can read proxy.password in {local_device.directory}/tedge.toml" in said
    assert local_device.run(f"tedge-config set proxy.password_file {file}").exit == 0
    with pytest.raises(ConfigurationError, match=r"both set; `sudo tedge config unset proxy\.password`"):
        proxy_of(instance_of(local_device).config, "tenant.example")
    assert local_device.run("tedge-config unset proxy.password").exit == 0
    assert proxy_of(instance_of(local_device).config, "tenant.example") == in_settings
    assert "can read proxy.password" not in local_device.run("tedge-cert-status c8y").stdout
    file.unlink()
    with pytest.raises(ConfigurationError, match=rf"the HTTP proxy in {file} \(proxy\.password_file\): No such file"):
        proxy_of(instance_of(local_device).config, "tenant.example")
