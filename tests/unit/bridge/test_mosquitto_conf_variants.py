# SPDX-License-Identifier: Apache-2.0
"""Parts of the bridge's configuration that depend on settings."""

import pytest

from tedge_cert.bridge import mosquitto_conf
from unit.connected import broker_of, certify, configure, mosquitto_of
from unit.local_device import LocalDevice


@pytest.mark.parametrize(("setting", "written"), [("auto", True), ("true", True), ("false", False)])
def test_a_directive_that_may_be_left_out(local_device: LocalDevice, setting: str, written: bool) -> None:
    certify(local_device)
    configure(local_device, "[c8y]", f'[c8y.bridge.include]\nlocal_cleansession = "{setting}"\n[c8y]')
    assert ("\nlocal_cleansession false\n" in mosquitto_conf.bridge_text(mosquitto_of(local_device))) is written


@pytest.mark.parametrize(("endpoint", "port"), [("t1.example", 9883), ("t1.example:8883", 9883), ("t1.example:1", 1)])
def test_the_mqtt_service(local_device: LocalDevice, endpoint: str, port: int) -> None:
    """The MQTT service has another port, unless the settings name one, and topics beside those of the device."""
    certify(local_device)
    mqtt = f"127.0.0.1:{local_device.tenant.mqtt_port}"
    configure(local_device, f'mqtt = "{mqtt}"', f'mqtt = "{endpoint}"')
    plain = mosquitto_conf.bridge_text(mosquitto_of(local_device))
    assert f"address t1.example:{8883 if port == 9883 else 1}\n" in plain
    service = '[c8y.mqtt_service]\nenabled = true\ntopics = ["demo/#", "sub/topic"]\n[c8y]'
    configure(local_device, "[c8y]", service)
    text = mosquitto_conf.bridge_text(mosquitto_of(local_device))
    assert f"address t1.example:{port}\n" in text
    assert text.splitlines()[len(plain.splitlines()) :] == [
        'topic # out 1 c8y/mqtt/out/ ""',
        'topic demo/# in 1 c8y/mqtt/in/ ""',
        'topic sub/topic in 1 c8y/mqtt/in/ ""',
    ]


def test_messages_by_the_mqtt_service(local_device: LocalDevice) -> None:
    certify(local_device)
    configure(local_device, "[c8y]", '[c8y.mqtt_service]\nenabled = true\ntopics = ["demo/#"]\n[c8y]')
    assert local_device.connect().exit == 0
    assert local_device.run("tedge-connect c8y --test").exit == 0
    from tedge_cert.bridge import local_broker

    with local_broker.connect(broker_of(local_device), 10) as client:
        client.subscribe("c8y/mqtt/in/#")
        client.publish("c8y/mqtt/out/up/here", "hello")
        sent = local_device.tenant.wait_messages(local_device.device_id, topic="up/here")
        assert sent[0]["payload"] == "hello"
        local_device.tenant.publish(local_device.device_id, "demo/x", "back")
        heard = client.next_message(10)
        assert (heard.topic, heard.payload) == ("c8y/mqtt/in/demo/x", b"back")
