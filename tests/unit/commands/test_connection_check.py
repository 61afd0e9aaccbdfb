# SPDX-License-Identifier: Apache-2.0
"""Warnings of a connection that works: another tenant, a proxy, the broker's version."""

import base64
import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from pytest_mock import MockerFixture

from tedge_cert import processes, systemd
from tedge_cert.bridge import mosquitto_conf
from tedge_cert.commands import connect as connect_command
from tedge_cert.commands import connection_check
from tedge_cert.commands.root_tasks import Root
from tedge_cert.errors import NoAnswerError, TedgeCertError
from tedge_cert.tenant import proof, smartrest
from tenant.ports import free_port
from unit.children import run
from unit.connected import certify, configure, connect, hurry, instance_of, misdirect
from unit.local_device import LocalDevice


def token(payload: object) -> str:
    encoded = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"e30.{encoded}.c2ln"


@pytest.mark.parametrize(
    ("given", "issuer"),
    [
        (token({"iss": "t1.example"}), "t1.example"),
        (token({"iss": "T1.Example:443"}), "t1.example"),
        (token({"iss": "https://t1.example/x"}), "t1.example"),
        (token({"sub": "x"}), ""),
        (token({"iss": 7}), "7"),
        (token(["iss"]), ""),
        ("a.b.c", ""),
        ("opaque", ""),
        (f"a.{base64.b64encode(b'[' * 65_536).decode()}.b", ""),
        ("", ""),
    ],
)
def test_whose_token_it_is(given: str, issuer: str) -> None:
    assert connection_check.issuer_of(given) == issuer


@pytest.mark.parametrize("other", [True, False])
def test_another_tenant_is_a_warning(
    local_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str], other: bool
) -> None:
    certify(local_device)
    connect(local_device)
    issuer = "other.example" if other else "127.0.0.1:8443"
    mocker.patch.object(smartrest, "token_through", return_value=token({"iss": issuer}))
    connection_check.test(instance_of(local_device))
    said = capsys.readouterr().err
    assert ("connected to the tenant other.example, but c8y.http is 127.0.0.1" in said) is other
    assert ("\nwarning: " in said) is other


@pytest.mark.parametrize("address", [None, "proxy.example:8080"])
def test_a_proxy_is_not_for_the_bridge(
    local_device: LocalDevice, capsys: pytest.CaptureFixture[str], address: str | None
) -> None:
    certify(local_device)
    if address is not None:
        assert local_device.run(f"tedge-config set proxy.address {address}").exit == 0
    instance = instance_of(local_device)
    connect_command.prepare(Root(instance), instance, "Connecting to")
    assert ("mosquitto's bridge cannot use a proxy" in capsys.readouterr().err) is (address is not None)


@pytest.mark.parametrize(
    ("said", "version"),
    [("mosquitto version 2.0.11\n\nmosquitto is", "2.0.11"), ("", ""), ("else\n", ""), ("mosquitto version\n", "")],
)
def test_the_version_of_the_broker(mocker: MockerFixture, said: str, version: str) -> None:
    mocker.patch.object(processes, "run", return_value=CompletedProcess([], 3, said, ""))
    assert mosquitto_conf.version() == version


def test_without_a_broker_installed(mocker: MockerFixture) -> None:
    mocker.patch.object(processes, "PATH", "/nonexistent")
    assert mosquitto_conf.version() == ""
    assert not systemd.is_running()


@pytest.mark.parametrize("health", ["down", "still up"])
def test_offline_it_says_the_real_cause(local_device: LocalDevice, mocker: MockerFixture, health: str) -> None:
    """mosquitto may still say that the bridge is up, for as long as its keepalive."""
    hurry(mocker, TOKEN_WAIT_S=0.2)
    mocker.patch.object(connection_check, "BRIDGE_S", 0.5)
    certify(local_device)
    connect(local_device)
    if health == "down":
        misdirect(local_device)
    else:
        mocker.patch.object(smartrest, "token_through", side_effect=NoAnswerError("no token came"))
    port = free_port()
    configure(local_device, f"127.0.0.1:{local_device.tenant.mqtt_port}", f"127.0.0.1:{port}")
    with pytest.raises(TedgeCertError) as caught:
        connection_check.test(instance_of(local_device))
    assert str(caught.value).startswith(f"not connected: no answer from 127.0.0.1:{port}: Connection refused; ")


@pytest.mark.parametrize("health", ["down", "old session"])
def test_an_expired_certificate_is_said_and_not_shown(
    local_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str], health: str
) -> None:
    mocker.patch.object(connection_check, "BRIDGE_S", 0.5)
    certify(local_device)
    connect(local_device)
    certify(local_device, days=-1, not_before_offset_s=-2 * 86_400)
    shown = mocker.spy(proof, "why_no_tls")
    if health == "down":
        misdirect(local_device)
        with pytest.raises(TedgeCertError, match=r"not connected: .* expired 1d"):
            connection_check.test(instance_of(local_device))
    else:
        mocker.patch.object(smartrest, "token_through", return_value="token")
        connection_check.test(instance_of(local_device))
        said = capsys.readouterr().err
        assert "warning: the session began before this, and when it ends the device cannot connect again: " in said
        assert " expired 1d" in said
    shown.assert_not_called()


@pytest.mark.parametrize("layout", ["tedge.toml", "mapper.toml"])
@pytest.mark.parametrize("profile", ["", "second"])
@pytest.mark.parametrize("shared", ["c8y.url c8y.device.id", "c8y.bridge.topic_prefix", "c8y.proxy.bind.port"])
def test_profiles_in_conflict_are_not_tested(tmp_path: Path, layout: str, profile: str, shared: str) -> None:
    values = {"c8y.url": '"two.example"', "c8y.bridge.topic_prefix": '"c8y-2"', "c8y.proxy.bind.port": "8002"}
    first, *_ = keys = shared.split()
    values[first] = '"one.example"' if first == "c8y.url" else ""
    second = "".join(f"{key.removeprefix('c8y.')} = {value}\n" for key, value in values.items() if value)
    tables = {"c8y": 'url = "one.example"\n', "c8y.second": second}
    text = '[device]\nid = "sensor-1"\ncert_path = "/none"\n'
    for name, content in tables.items():
        if layout == "tedge.toml":
            text += f"[{name.replace('.', '.profiles.')}]\n{content}"
        else:
            (tmp_path / "mappers" / name).mkdir(parents=True)
            (tmp_path / "mappers" / name / "mapper.toml").write_text(content)
    (tmp_path / "tedge.toml").write_text(text)
    result = run(["tedge-connect", "c8y", *(["--profile", profile] if profile else []), "--test"], tmp_path)
    assert result.exit == 1
    # Not what comes of it later, such as a bridge that is not there.
    error = result.stderr.partition("error: ")[2]
    for key in keys:
        assert f"{key} and {key.replace('c8y', 'c8y.profiles.second')}" in error
    assert "the default profile" in error
    assert "the profile 'second'" in error
