# SPDX-License-Identifier: Apache-2.0
"""Keys of programs on the device itself: the broker, and the HTTP server of thin-edge's agent."""

from tedge_cert.config.keys import Key
from tedge_cert.config.keys.kinds import parse_broker_port, parse_topic_id, parse_topic_prefix
from tedge_cert.config.values import (
    parse_duration,
    parse_flag,
    parse_host,
    parse_ip,
    parse_path,
    parse_port,
    parse_text,
)

_AUTH = "mqtt.client.auth"
_EXTERNAL = "mqtt.external"
_RECONNECT = "mqtt.bridge.reconnect_policy"

MQTT: dict[str, Key] = {
    "mqtt.topic_root": Key(parse_topic_prefix, "te", "Root of the local topics.", "te"),
    "mqtt.device_topic_id": Key(
        parse_topic_id, "device/main//", "Topic identifier of this device.", "device/main//"),
    "mqtt.bind.enabled": Key(parse_flag, True, "Whether mosquitto's listener is written for it.", "true"),
    "mqtt.bind.address": Key(parse_ip, "127.0.0.1", "Address that mosquitto listens on.", "127.0.0.1"),
    "mqtt.bind.port": Key(parse_broker_port, 1883, "Port that mosquitto listens on.", "1883", old=("mqtt.port",)),
    "mqtt.client.host": Key(parse_host, "127.0.0.1", "Where local clients find mosquitto.", "127.0.0.1"),
    "mqtt.client.port": Key(
        parse_broker_port, None, "Port at which local clients find mosquitto.", "1883", ("mqtt.bind.port",)),
    f"{_AUTH}.ca_file": Key(
        parse_path, None, "File of trust anchors for mosquitto's certificate.", "/etc/mosquitto/ca_certificates/ca.crt",
        old=(f"{_AUTH}.cafile", "mqtt.client_ca_file")),
    f"{_AUTH}.ca_dir": Key(
        parse_path, None, "Directory of trust anchors for mosquitto's certificate.", "/etc/mosquitto/ca_certificates",
        old=(f"{_AUTH}.cadir", "mqtt.client_ca_path")),
    f"{_AUTH}.cert_file": Key(
        parse_path, None, "Certificate that local clients show to mosquitto.", "/etc/mosquitto/certs/client.pem",
        old=(f"{_AUTH}.certfile",)),
    f"{_AUTH}.key_file": Key(
        parse_path, None, "Private key of that certificate.", "/etc/mosquitto/certs/client-key.pem",
        old=(f"{_AUTH}.keyfile",)),
    f"{_AUTH}.username": Key(parse_text, None, "User name of local clients.", "tedge"),
    f"{_AUTH}.password_file": Key(
        parse_path, None, "File with the password of local clients.", "/etc/tedge/.client_password"),
    f"{_EXTERNAL}.bind.port": Key(
        parse_port, None, "Port of a second listener, for clients elsewhere.", "8883", old=(f"{_EXTERNAL}.port",)),
    f"{_EXTERNAL}.bind.address": Key(parse_ip, None, "Address of the second listener.", "0.0.0.0"),  # noqa: S104
    f"{_EXTERNAL}.bind.interface": Key(
        parse_text, None, "Network interface that the second listener is limited to.", "wlan0"),
    f"{_EXTERNAL}.ca_path": Key(
        parse_path, None, "Trust anchors for clients of the second listener.", "/etc/ssl/certs",
        old=(f"{_EXTERNAL}.capath",)),
    f"{_EXTERNAL}.cert_file": Key(
        parse_path, None, "Server certificate of the second listener; needs mqtt.external.key_file too.",
        "/etc/tedge/device-certs/listener.pem", old=(f"{_EXTERNAL}.certfile",)),
    f"{_EXTERNAL}.key_file": Key(
        parse_path, None, "Private key of the second listener; needs mqtt.external.cert_file too.",
        "/etc/tedge/device-certs/listener-key.pem", old=(f"{_EXTERNAL}.keyfile",)),
    "mqtt.bridge.built_in": Key(
        parse_flag, False,
        "Whether thin-edge's mapper contains the bridge to the cloud. This package ignores it and uses mosquitto.",
        "false"),
    f"{_RECONNECT}.initial_interval": Key(
        parse_duration, "5s", "How long a bridge in the mapper waits at first before it connects again.", "5s"),
    f"{_RECONNECT}.maximum_interval": Key(
        parse_duration, "10m", "How long a bridge in the mapper waits at most before it connects again.", "10m"),
    f"{_RECONNECT}.reset_window": Key(
        parse_duration, "5m", "After how long a connection a bridge in the mapper begins with short waits again.",
        "5m"),
}  # fmt: skip

HTTP: dict[str, Key] = {
    "http.bind.port": Key(
        parse_port, 8000, "Port that the agent's HTTP server listens on.", "8000", old=("http.port",)),
    "http.bind.address": Key(
        parse_ip, None, "Address that the agent's HTTP server listens on.", "127.0.0.1",
        (f"{_EXTERNAL}.bind.address", "mqtt.bind.address"), old=("http.address",)),
    "http.client.port": Key(parse_port, 8000, "Port at which clients find the agent's HTTP server.", "8000"),
    "http.client.host": Key(parse_text, "127.0.0.1", "Where clients find the agent's HTTP server.", "127.0.0.1"),
    "http.client.auth.cert_file": Key(
        parse_path, None, "Certificate that clients show to the HTTP servers of the agent and the mapper.",
        "/etc/tedge/device-certs/client.pem"),
    "http.client.auth.key_file": Key(
        parse_path, None, "Private key of that certificate.", "/etc/tedge/device-certs/client-key.pem"),
    "http.cert_path": Key(
        parse_path, None, "Server certificate of the agent's HTTP server.", "/etc/tedge/device-certs/agent.pem"),
    "http.key_path": Key(
        parse_path, None, "Private key of the agent's HTTP server.", "/etc/tedge/device-certs/agent-key.pem"),
    "http.ca_path": Key(
        parse_path, None, "Trust anchors for clients of the agent's HTTP server.", "/etc/ssl/certs"),
}  # fmt: skip
