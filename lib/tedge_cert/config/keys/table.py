# SPDX-License-Identifier: Apache-2.0
"""Collect all configuration keys, and put them into the order in which they are listed."""

from collections.abc import Iterable
from difflib import get_close_matches

from tedge_cert.config.keys import Key
from tedge_cert.config.keys.c8y import C8Y
from tedge_cert.config.keys.clouds import AWS, AZURE
from tedge_cert.config.keys.device import CERTIFICATE, DEVICE
from tedge_cert.config.keys.local import HTTP, MQTT
from tedge_cert.config.keys.system import AGENT, FLOWS, PLACES, PLUGINS, SERVICES

KEYS: dict[str, Key] = {
    **DEVICE, **CERTIFICATE, **C8Y, **AZURE, **AWS, **MQTT, **HTTP, **AGENT, **PLACES, **SERVICES, **PLUGINS, **FLOWS
}  # fmt: skip

OLD_NAMES: dict[str, str] = {key.old: name for name, key in KEYS.items() if key.old}
"""Names of keys in earlier versions of thin-edge, with the present names."""


def listed(names: Iterable[str]) -> list[str]:
    """Return names in the order of `tedge config list`: on each level the plain keys before the groups."""
    return _ordered(list(names), 0)


def unknown_key(name: str) -> str:
    """Return a message for a key that does not exist, with the one that the person probably meant."""
    near = get_close_matches(name, KEYS, 1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"unknown configuration key '{name}'{hint} (`tedge config list --all` shows all keys)"


def _ordered(names: list[str], depth: int) -> list[str]:
    plain = [name for name in names if name.count(".") == depth]
    groups: dict[str, list[str]] = {}
    for name in names:
        if name.count(".") > depth:
            groups.setdefault(name.split(".")[depth], []).append(name)
    return plain + [name for group in groups.values() for name in _ordered(group, depth + 1)]
