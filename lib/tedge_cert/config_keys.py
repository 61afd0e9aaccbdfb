# SPDX-License-Identifier: Apache-2.0
"""The table of configuration keys: type, default, derivation, documentation, example.

Plain tuples and no dataclass: the hourly check reads two of them, and ``dataclasses`` alone would cost it 10 ms.
"""

from tedge_cert import values

# Not from typing, which would cost the hourly check five milliseconds; type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CERTIFICATES = "/etc/tedge/device-certs"


class Key:
    """What is known of one key.

    ``parse`` checks a text and gives the value as TOML stores it; ``default`` is that of an unset key, and
    ``derived`` names the key (with what is added to its value) that an unset one follows.
    """

    __slots__ = ("_parse", "default", "derived", "doc", "example")

    def __init__(
        self,
        parse: "Callable[[str], values.Value]",
        default: values.Value | None,
        doc: str,
        example: str,
        derived: tuple[str, str] | None = None,
    ) -> None:
        self._parse = parse
        self.default = default
        self.doc = doc
        self.example = example
        self.derived = derived

    @property
    def is_duration(self) -> bool:
        """Whether a bare number is a value too: seconds."""
        return self._parse is values.parse_duration

    def parse(self, text: str) -> values.Value:
        """Check ``text``; raises ValueError. A line break would end up in files that root writes for the broker."""
        if not text.isprintable():
            raise ValueError("expected text without line breaks and other control characters")
        return self._parse(text)


KEYS: dict[str, Key] = {
    "certificate.organization": Key(
        values.parse_text, "Thin Edge", "Organization name used for certificate signing requests.", "ACME"
    ),
    "certificate.organization_unit": Key(
        values.parse_text, "Device", "Organization unit used for certificate signing requests.", "IoT"
    ),
    "certificate.validity.requested_duration": Key(
        values.parse_duration,
        "365d",
        "Requested validity duration for a new certificate. \n"
        "Note: The CA might return certificates valid for period shorter than requested",
        "365d",
    ),
    "certificate.validity.minimum_duration": Key(
        values.parse_duration,
        "30d",
        "Minimum validity duration below which a new certificate should be requested. \n"
        "Note: This is an advisory setting and the renewal has to be scheduled",
        "30d",
    ),
    "device.id": Key(
        values.parse_device_id,
        None,
        "Identity of the device: the common name of its certificate where there is one, else this value.",
        "sensor-0815",
    ),
    "device.key_path": Key(
        values.parse_path, f"{CERTIFICATES}/tedge-private-key.pem", "Private key of the device.", "/data/key.pem"
    ),
    "device.cert_path": Key(
        values.parse_path,
        f"{CERTIFICATES}/tedge-certificate.pem",
        "Certificate of the device, followed by its chain.",
        "/data/certificate.pem",
    ),
    "device.csr_path": Key(
        values.parse_path, f"{CERTIFICATES}/tedge.csr", "The last certificate signing request.", "/data/device.csr"
    ),
    "device.type": Key(
        values.parse_text, "thin-edge.io", "Type that the device is created with in the cloud.", "gateway"
    ),
    "c8y.url": Key(
        values.parse_host, None, "Host name of the Cumulocity tenant, without scheme or path.", "example.cumulocity.com"
    ),
    "c8y.root_cert_path": Key(
        values.parse_path, "/etc/ssl/certs", "Trust anchors of the tenant: a file or a directory.", "/etc/ssl/certs"
    ),
    "c8y.http": Key(
        values.parse_endpoint, None, "HTTPS endpoint of the tenant.", "http.example.com:443", ("c8y.url", ":443")
    ),
    "c8y.mqtt": Key(
        values.parse_endpoint, None, "MQTT endpoint of the tenant.", "mqtt.example.com:8883", ("c8y.url", ":8883")
    ),
    "c8y.device.id": Key(
        values.parse_device_id, None, "Identity of the device for this cloud.", "sensor-0815", ("device.id", "")
    ),
    "c8y.device.key_path": Key(
        values.parse_path, None, "Private key for this cloud.", "/data/key.pem", ("device.key_path", "")
    ),
    "c8y.device.cert_path": Key(
        values.parse_path, None, "Certificate for this cloud.", "/data/cert.pem", ("device.cert_path", "")
    ),
    "c8y.device.csr_path": Key(
        values.parse_path, None, "Certificate signing request for this cloud.", "/data/c8y.csr", ("device.csr_path", "")
    ),
    "c8y.smartrest.templates": Key(
        values.parse_list, [], "SmartREST 2.0 templates that the bridge subscribes to.", "templateId1,templateId2"
    ),
    "c8y.smartrest1.templates": Key(
        values.parse_list, [], "SmartREST 1.0 templates that the bridge subscribes to.", "templateId1,templateId2"
    ),
    "c8y.bridge.topic_prefix": Key(
        values.parse_topic_prefix, "c8y", "Local topic prefix of the bridge; each profile needs its own.", "c8y"
    ),
    "c8y.bridge.keepalive_interval": Key(
        values.parse_duration, "60s", "Keep-alive interval of the bridge.", "60s"
    ),
    "mqtt.topic_root": Key(values.parse_topic_prefix, "te", "Root of the local topics.", "te"),
    "mqtt.device_topic_id": Key(
        values.parse_topic_prefix, "device/main//", "Topic identifier of this device.", "device/main//"
    ),
    "mqtt.bind.address": Key(values.parse_ip, "127.0.0.1", "Address that mosquitto listens on.", "127.0.0.1"),
    "mqtt.bind.port": Key(values.parse_port, 1883, "Port that mosquitto listens on.", "1883"),
    "mqtt.client.host": Key(values.parse_host, "127.0.0.1", "Where local clients find mosquitto.", "127.0.0.1"),
    "mqtt.client.port": Key(
        values.parse_port, None, "Port at which local clients find mosquitto.", "1883", ("mqtt.bind.port", "")
    ),
    "run.path": Key(values.parse_path, "/run", "Directory of files that need not outlive the boot.", "/run"),
}  # fmt: skip
