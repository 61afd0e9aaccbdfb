# SPDX-License-Identifier: Apache-2.0
"""A local listener with TLS or users (mqtt.client.auth.*): every connection of ours to it uses them."""

import shutil

import pytest
from pytest_mock import MockerFixture

from tedge_cert.bridge import local_broker
from tedge_cert.bridge.health import Bridge
from tedge_cert.bridge.kinds import open_bridge
from tedge_cert.errors import ConfigurationError
from tedge_cert.tenant import token
from unit import recipes
from unit.connected import broker_of, certify, configure, hurry, instance_of, issue, outcome, serials, tenant_of
from unit.guarded_broker import PASSWORD, guard, introduce
from unit.local_device import LocalDevice

pytestmark = pytest.mark.skipif(shutil.which("mosquitto_passwd") is None, reason="mosquitto is not installed")


@pytest.mark.parametrize(("tls", "users"), [(True, False), (False, True), (True, True)])
def test_a_renewal_over_a_guarded_listener(
    local_device: LocalDevice, mocker: MockerFixture, tls: bool, users: bool
) -> None:
    """Connect, check, ask for a token and switch, each through the guarded listener."""
    hurry(mocker)
    certify(local_device)
    introduce(local_device, guard(local_device, tls=tls, users=users), tls=tls, users=users)
    connected = local_device.connect()
    assert connected.exit == 0, connected.stderr
    instance = instance_of(local_device)
    assert not (instance.bridge_file.parent / "tedge-mosquitto.conf").exists()
    tested = local_device.run("tedge-connect c8y --test")
    assert tested.exit == 0, tested.stderr
    assert token.request_token(tenant_of(local_device), broker_of(local_device))
    new = issue(local_device)
    assert outcome(lambda: recipes.verify(instance)) == (0, "")
    assert serials(local_device)[0] == new
    with Bridge(broker_of(local_device)) as bridge:
        assert bridge.is_up
    assert PASSWORD not in connected.stderr + tested.stderr


@pytest.mark.parametrize(
    ("tls", "users", "words"),
    [
        (False, True, "CONNACK 5 (connection refused: not authorised); set mqtt.client.auth.username"),
        (True, False, "set mqtt.client.auth.ca_file"),
    ],
)
def test_a_listener_that_nobody_told_us_of(local_device: LocalDevice, tls: bool, users: bool, words: str) -> None:
    certify(local_device)
    guard(local_device, tls=tls, users=users)
    local_device.connect()
    tested = local_device.run("tedge-connect c8y --test")
    assert tested.exit == 1
    assert words in tested.stderr
    assert open_bridge(broker_of(local_device)) is None


def test_a_broker_that_is_not_trusted_or_has_another_name(
    local_device: LocalDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    certify(local_device)
    directory = guard(local_device, tls=True, users=False, name="other.example")
    introduce(local_device, directory, tls=True, users=False)
    local_device.connect()
    assert open_bridge(broker_of(local_device)) is None
    assert "is for another name" in capsys.readouterr().err
    (directory / "root.pem").write_bytes(local_device.tenant.device_ca.read_bytes())
    assert open_bridge(broker_of(local_device)) is None
    assert f"set mqtt.client.auth.ca_file ({directory}/root.pem)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('cert_file = "/x"', "belong together"),
        ('cert_file = "/x"\nkey_file = "/y"', "need mqtt.client.auth.ca_file"),
        ('password_file = "/x"', "no mqtt.client.auth.username"),
        ('username = "u"\npassword_file = "/nowhere"', "cannot read the password for the local broker in /nowhere"),
        ('ca_file = "/nowhere"', r"/nowhere \(mqtt.client.auth.ca_file\)"),
    ],
)
def test_settings_that_cannot_be_used(local_device: LocalDevice, settings: str, words: str) -> None:
    configure(local_device, "[mqtt.bind]", f"[mqtt.client.auth]\n{settings}\n[mqtt.bind]")
    with pytest.raises(ConfigurationError, match=words):
        local_broker.connect(broker_of(local_device), 5)
