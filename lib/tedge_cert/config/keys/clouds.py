# SPDX-License-Identifier: Apache-2.0
"""Keys that every cloud has, and those of Azure and AWS, which this package only stores and lists."""

from tedge_cert.config.keys import HOURLY, PIN_IN_CLEAR, Key, cert_path_of, csr_path_of, key_path_of, key_uri_of
from tedge_cert.config.keys.kinds import parse_payload_size, parse_pin, parse_prefix
from tedge_cert.config.values import (
    one_of,
    parse_device_id,
    parse_duration,
    parse_flag,
    parse_host,
    parse_list,
    parse_path,
)

TIME_FORMAT = one_of("unix", "rfc-3339")
_TOPICS = ["te/+/+/+/+/m/+", "te/+/+/+/+/e/+", "te/+/+/+/+/a/+", "te/+/+/+/+/status/health"]


def place(cloud: str, label: str, example: str) -> dict[str, Key]:
    """Describe where the cloud is and which anchors to trust for it."""
    return {
        f"{cloud}.url": Key(parse_host, None, f"Host name of the {label}, without scheme or path.", example),
        f"{cloud}.root_cert_path": Key(
            parse_path, "/etc/ssl/certs", f"Trust anchors of the {label}: a file, or a directory of files.",
            "/etc/ssl/certs"),
    }  # fmt: skip


def device(cloud: str) -> dict[str, Key]:
    """Describe the identity of the device for this cloud, where it differs from the common one."""
    name = f"{cloud}.device"
    return {
        f"{name}.id": Key(
            parse_device_id, None, f"Identity of the device for {cloud}, if its certificate does not name one.",
            "sensor-0815", ("device.id",)),
        f"{name}.key_path": HOURLY.get(f"{name}.key_path") or key_path_of(cloud),
        f"{name}.cert_path": HOURLY.get(f"{name}.cert_path") or cert_path_of(cloud),
        f"{name}.csr_path": HOURLY.get(f"{name}.csr_path") or csr_path_of(cloud),
        f"{name}.key_uri": HOURLY.get(f"{name}.key_uri") or key_uri_of(cloud),
        f"{name}.key_pin": Key(
            parse_pin, None, f"PIN of the token that {name}.key_uri names.", "123456", note=PIN_IN_CLEAR),
    }  # fmt: skip


def payload_size(cloud: str, largest: int) -> dict[str, Key]:
    """Describe the largest message."""
    doc = f"The most bytes that a message mapped to {cloud} may have."
    return {f"{cloud}.mapper.mqtt.max_payload_size": Key(parse_payload_size, largest, doc, str(largest))}


def prefix(cloud: str) -> dict[str, Key]:
    """Describe the local topics of the bridge and its keepalive."""
    return {
        f"{cloud}.bridge.topic_prefix": Key(
            parse_prefix, cloud,
            f"Local topic prefix of the bridge: a message on {cloud}/x goes to topic x of the cloud; each profile "
            "needs its own.", cloud),
        f"{cloud}.bridge.keepalive_interval": Key(
            parse_duration, "60s", "After how much silence the bridge sends a ping to the cloud.", "60s"),
    }  # fmt: skip


def other_cloud(cloud: str, label: str, example: str, largest: int) -> dict[str, Key]:
    """Describe all keys of a cloud that this package does not connect to."""
    return {
        **place(cloud, label, example),
        **device(cloud),
        f"{cloud}.mapper.timestamp": Key(parse_flag, True, f"Whether messages to {cloud} get a time.", "true"),
        f"{cloud}.mapper.timestamp_format": Key(TIME_FORMAT, "unix", "How that time is written.", "rfc-3339"),
        **payload_size(cloud, largest),
        **prefix(cloud),
        f"{cloud}.topics": Key(
            parse_list, _TOPICS, f"Local topics that the mapper of {cloud} listens to.",
            "te/+/+/+/+/a/+,te/+/+/+/+/m/+,te/+/+/+/+/e/+"),
    }  # fmt: skip


AZURE = other_cloud("az", "Azure IoT hub", "example.azure-devices.net", 262_144)
AWS = other_cloud("aws", "AWS IoT endpoint", "example.amazonaws.com", 131_072)
