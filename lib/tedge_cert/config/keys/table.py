# SPDX-License-Identifier: Apache-2.0
"""Collect all configuration keys, and put them into the order in which they are listed."""

from collections.abc import Collection

from tedge_cert.config.keys import Key, flat
from tedge_cert.config.keys.c8y import C8Y
from tedge_cert.config.keys.clouds import AWS, AZURE
from tedge_cert.config.keys.device import CERTIFICATE, DEVICE
from tedge_cert.config.keys.est import EST
from tedge_cert.config.keys.local import HTTP, MQTT
from tedge_cert.config.keys.system import AGENT, FLOWS, PLACES, PLUGINS, SERVICES

KEYS: dict[str, Key] = {
    **DEVICE, **CERTIFICATE, **C8Y, **AZURE, **AWS, **EST, **MQTT, **HTTP, **AGENT, **PLACES, **SERVICES, **PLUGINS,
    **FLOWS
}  # fmt: skip

OLD_NAMES: dict[str, str] = {old: name for name, key in KEYS.items() for old in key.old}
"""Names of keys in earlier versions of thin-edge, with the present names."""

_BY_SPELLING = {flat(each): name for each, name in [*OLD_NAMES.items(), *((each, each) for each in KEYS)]}


def present_name(name: str) -> str:
    """Return the present name of a key in any of its spellings; empty if there is no such key."""
    return _BY_SPELLING.get(flat(name), "")


# Nothing in this package reads these keys; thin-edge's own programs do. A group ends with a dot.
_KEPT = (
    "agent.", "apt.", "az.bridge.", "az.mapper.", "az.root_cert_path", "az.topics", "az.url", "aws.bridge.",
    "aws.mapper.", "aws.root_cert_path", "aws.topics", "aws.url", "c8y.availability.", "c8y.enable.",
    "c8y.entity_store.", "c8y.mapper.", "c8y.operations.", "c8y.proxy.bind.address", "c8y.proxy.ca_path",
    "c8y.proxy.cert_path", "c8y.proxy.client.", "c8y.proxy.key_path", "c8y.smartrest.child_device.",
    "c8y.smartrest.use_operation_id", "c8y.software_management.", "c8y.topics", "configuration.", "data.path",
    "device.cryptoki.socket_path", "diag.",
    "firmware.", "flows.", "http.", "log.", "logs.path", "mqtt.bridge.", "run.lock_files", "run.log_memory_interval",
    "service.", "software.", "sudo.", "tmp.path",
)  # fmt: skip


def is_kept(name: str) -> bool:
    """Return whether this package only stores and lists the key, for thin-edge."""
    return name in ("az.device.key_pin", "aws.device.key_pin") or name.startswith(_KEPT)


# Keys in groups of thin-edge that it does not have: scripts that read the lists of these groups find what it lists.
_ADDED = (
    "certificate.rotate_key", "c8y.certificate.rotate_key", "device.cryptoki.pin_path", "device.tpm.tcti"
)  # fmt: skip


def is_named(name: str, wanted: str) -> bool:
    """Return whether a list for ``wanted`` names this key though it has no value of its own."""
    return name not in _ADDED or (bool(wanted) and name.endswith(wanted))


def nearest(name: str) -> str:
    """Return the end of a message: the key that the person probably meant; empty if none is like it."""
    from difflib import get_close_matches

    near = get_close_matches(name, KEYS, 1)
    return f"; did you mean '{near[0]}'?" if near else ""


def listed(names: Collection[str], depth: int = 0) -> list[str]:
    """Return names in the order of `tedge config list`: on each level, from ``depth``, plain keys before groups."""
    plain = [name for name in names if name.count(".") == depth]
    groups: dict[str, list[str]] = {}
    for name in names:
        if name.count(".") > depth:
            groups.setdefault(name.split(".")[depth], []).append(name)
    return plain + [name for group in groups.values() for name in listed(group, depth + 1)]
