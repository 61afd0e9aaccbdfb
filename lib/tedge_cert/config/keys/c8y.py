# SPDX-License-Identifier: Apache-2.0
"""Keys of Cumulocity. This package only stores and lists those of the mapper and its auth proxy, for thin-edge."""

from tedge_cert.config.keys import HOURLY, Key
from tedge_cert.config.keys.clouds import device, payload_size, place, prefix
from tedge_cert.config.values import (
    one_of,
    parse_duration,
    parse_endpoint,
    parse_flag,
    parse_ip,
    parse_list,
    parse_path,
    parse_port,
    parse_text,
)

_TOPICS = [
    "te/+/+/+/+",
    "te/+/+/+/+/twin/+",
    "te/+/+/+/+/m/+",
    "te/+/+/+/+/m/+/meta",
    "te/+/+/+/+/e/+",
    "te/+/+/+/+/a/+",
    "te/+/+/+/+/status/health",
]


def _enable(name: str, what: str, *old: str) -> dict[str, Key]:
    return {f"c8y.enable.{name}": Key(parse_flag, True, f"Whether the cloud may {what}.", "true", old=old)}


C8Y: dict[str, Key] = {
    **place("c8y", "Cumulocity tenant", "example.cumulocity.com"),
    "c8y.auth_method": HOURLY["c8y.auth_method"],
    "c8y.credentials_path": HOURLY["c8y.credentials_path"],
    **device("c8y"),
    "c8y.smartrest.templates": Key(
        parse_list, [], "SmartREST 2.0 templates that the bridge subscribes to.", "templateId1,templateId2"),
    "c8y.smartrest.use_operation_id": Key(
        parse_flag, True, "Whether the status of an operation is reported by its id (504-506) or without (501-503).",
        "true"),
    "c8y.smartrest.child_device.create_with_device_marker": Key(
        parse_flag, False, "Whether child devices are created with the fragment c8y_IsDevice.", "false"),
    "c8y.smartrest1.templates": Key(
        parse_list, [], "SmartREST 1.0 templates that the bridge subscribes to.", "templateId1,templateId2"),
    "c8y.http": Key(
        parse_endpoint, None, "HTTPS endpoint of the tenant, with a port or without.", "http.example.com:443",
        ("c8y.url",), 443),
    "c8y.mqtt": Key(
        parse_endpoint, None, "MQTT endpoint of the tenant, with a port or without.", "mqtt.example.com:8883",
        ("c8y.url",), 8883),
    "c8y.topics": Key(
        parse_list, _TOPICS, "Local topics that the mapper of Cumulocity listens to.",
        "te/+/+/+/+/a/+,te/+/+/+/+/m/+,te/+/+/+/+/e/+"),
    **_enable("log_upload", "fetch logs", "c8y.enable.log_management"),
    **_enable("config_snapshot", "fetch configuration files"),
    **_enable("config_update", "change configuration files"),
    **_enable("firmware_update", "install firmware"),
    **_enable("device_profile", "apply device profiles"),
    **_enable("device_restart", "restart the device"),
    **_enable("software_update", "install software"),
    **payload_size("c8y", 16_184),
    "c8y.proxy.bind.address": Key(
        parse_ip, "127.0.0.1", "Address that the mapper's HTTP proxy listens on.", "127.0.0.1"),
    "c8y.proxy.bind.port": Key(
        parse_port, 8001, "Port that the mapper's HTTP proxy listens on; each profile needs its own.", "8001"),
    "c8y.proxy.client.host": Key(
        parse_text, "127.0.0.1", "Where local clients find the mapper's HTTP proxy.", "127.0.0.1"),
    "c8y.proxy.client.port": Key(
        parse_port, None, "Port at which local clients find the mapper's HTTP proxy.", "8001",
        ("c8y.proxy.bind.port",)),
    "c8y.proxy.cert_path": Key(
        parse_path, None, "Server certificate of the mapper's HTTP proxy.", "/etc/tedge/device-certs/proxy.pem"),
    "c8y.proxy.key_path": Key(
        parse_path, None, "Private key of the mapper's HTTP proxy.", "/etc/tedge/device-certs/proxy-key.pem"),
    "c8y.proxy.ca_path": Key(
        parse_path, None, "Trust anchors for clients of the mapper's HTTP proxy.", "/etc/ssl/certs"),
    "c8y.bridge.include.local_cleansession": Key(
        one_of("true", "false", "auto"), "auto",
        "Whether the bridge starts with a clean local session (auto: as mosquitto 2 and later need it).", "auto"),
    **prefix("c8y"),
    "c8y.entity_store.auto_register": Key(
        parse_flag, True, "Whether entities are registered when their first message arrives.", "true"),
    "c8y.entity_store.clean_start": Key(
        parse_flag, True, "Whether the state of all entities is sent again after a clean start.", "true"),
    "c8y.software_management.api": Key(
        one_of("legacy", "advanced"), "legacy", "Which interface for software lists is used: legacy or advanced.",
        "advanced"),
    "c8y.software_management.with_types": Key(
        parse_flag, False, "Whether the types of software that the device can install are reported.", "true"),
    "c8y.operations.auto_log_upload": Key(
        one_of("never", "always", "on-failure"), "on-failure",
        "When the log of an operation is sent after its end: never, always, or on-failure.", "on-failure"),
    "c8y.availability.enable": Key(
        parse_flag, True, "Whether the device tells the cloud how often to expect a message.", "true"),
    "c8y.availability.interval": Key(
        parse_duration, "60m", "How often that is; below a minute the cloud shows the device as in maintenance.",
        "60m"),
    "c8y.mqtt_service.enabled": Key(
        parse_flag, False, "Whether the bridge connects to the endpoint of the MQTT service.", "true"),
    "c8y.mqtt_service.topics": Key(
        parse_list, [], "Topics of the MQTT service that the bridge subscribes to.", "incoming/topic,another/topic"),
}  # fmt: skip
