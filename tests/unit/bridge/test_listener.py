# SPDX-License-Identifier: Apache-2.0
"""The listeners of mosquitto: their configuration, tried with a real broker."""

import os
import ssl

import pytest
import trustme

from tedge_cert.bridge import mosquitto_conf
from tedge_cert.bridge.mosquitto_conf import listener_text
from tedge_cert.device.connection_settings import listener_of
from tedge_cert.errors import ConfigurationError
from tedge_cert.net.anchors import Trust
from tedge_cert.net.mqtt import Connection
from tedge_cert.net.tls import client_context, verifying_context
from tenant.ports import free_port
from unit.connected import certify, configure, instance_of, mosquitto_of
from unit.local_device import LocalDevice


def test_no_listener_where_it_is_somebody_elses(local_device: LocalDevice) -> None:
    certify(local_device)
    assert local_device.run("tedge-connect c8y --offline").exit == 0
    file = instance_of(local_device).bridge_file.with_name("tedge-mosquitto.conf")
    assert file.exists()
    configure(local_device, "[mqtt.bind]", "[mqtt.bind]\nenabled = false")
    assert local_device.run("tedge-reconnect c8y --offline").exit == 0
    assert not file.exists()


@pytest.mark.parametrize("interface", ["", "lo"])
def test_a_second_listener_for_clients_with_certificates(local_device: LocalDevice, interface: str) -> None:
    certify(local_device)
    authority, port, directory = trustme.CA(), free_port(), local_device.directory
    authority.cert_pem.write_to_path(str(directory / "root.pem"))
    for name in ("127.0.0.1", "client.example"):
        made = authority.issue_cert(name, common_name=name)
        made.private_key_pem.write_to_path(str(directory / f"{name}.key"))
        made.cert_chain_pems[0].write_to_path(str(directory / f"{name}.pem"))
    bound = f'interface = "{interface}"\n' if interface else ""
    configure(
        local_device,
        "[mqtt.bind]",
        f'[mqtt.external]\nca_path = "{directory}/root.pem"\ncert_file = "{directory}/127.0.0.1.pem"\n'
        f'key_file = "{directory}/127.0.0.1.key"\n[mqtt.external.bind]\nport = {port}\naddress = "127.0.0.1"\n{bound}'
        "[mqtt.bind]",
    )
    text = listener_text(listener_of(instance_of(local_device).config)) or ""
    assert text.split("require_certificate false\n")[1] == (
        f"listener {port} 127.0.0.1\nallow_anonymous false\nrequire_certificate true\nuse_identity_as_username true\n"
        + (f"bind_interface {interface}\n" if interface else "")
        + f"cafile {directory}/root.pem\ncertfile {directory}/127.0.0.1.pem\nkeyfile {directory}/127.0.0.1.key\n"
    )
    connected = local_device.connect()
    assert connected.exit == 0, connected.stderr
    trust = Trust(directory / "root.pem", "mqtt.client.auth.ca_file")
    client = (directory / "client.example.pem", directory / "client.example.key")
    Connection(("127.0.0.1", port), "", 10, client_context(trust, *client)).close()
    with pytest.raises((ssl.SSLError, OSError)):
        Connection(("127.0.0.1", port), "", 10, verifying_context(trust))


def test_a_second_listener_for_everybody(local_device: LocalDevice) -> None:
    port = free_port()
    configure(local_device, "[mqtt.bind]", f"[mqtt.external.bind]\nport = {port}\n[mqtt.bind]")
    text = listener_text(listener_of(instance_of(local_device).config)) or ""
    assert text.endswith(f"listener {port}\nallow_anonymous true\nrequire_certificate false\n")


@pytest.mark.parametrize("settings", ['ca_path = "/x"', 'cert_file = "/x"', 'key_file = "/x"'])
def test_half_a_second_listener(local_device: LocalDevice, settings: str) -> None:
    configure(local_device, "[mqtt.bind]", f"[mqtt.external]\n{settings}\n[mqtt.external.bind]\nport = 1\n[mqtt.bind]")
    with pytest.raises(ConfigurationError, match="belong together"):
        listener_text(listener_of(instance_of(local_device).config))


@pytest.mark.parametrize("name", ["ca_path", "cert_file", "key_file"])
def test_mosquitto_waits_for_no_pipe(local_device: LocalDevice, name: str) -> None:
    certify(local_device)
    pipe = local_device.directory / "pipe"
    os.mkfifo(pipe)
    settings = dict.fromkeys(("ca_path", "cert_file", "key_file"), local_device.tenant.server_ca) | {name: pipe}
    lines = "".join(f'{each} = "{path}"\n' for each, path in settings.items())
    configure(local_device, "[mqtt.bind]", f"[mqtt.external]\n{lines}[mqtt.external.bind]\nport = 1\n[mqtt.bind]")
    with pytest.raises(ConfigurationError, match=rf"pipe \(mqtt.external.{name}\) is no regular file"):
        mosquitto_conf.look(mosquitto_of(local_device))
