# SPDX-License-Identifier: Apache-2.0
"""What a test can wait for, and the choice of messages."""

from typing import Any

from tenant.state import Device


def select(device: Device, topic: str | None, since: int) -> list[dict[str, Any]]:
    """The messages of a device from an index on, perhaps of one topic."""
    return [m for m in device.messages if m["index"] >= since and topic in (None, m["topic"])]


def is_as_wanted(device: Device, wanted: dict[str, str]) -> bool:
    """Whether all the conditions of a wait hold."""
    serial = device.session.serial if device.session else None
    if "messages" in wanted:
        messages = select(device, wanted.get("topic"), int(wanted.get("since", 0)))
        if len(messages) < int(wanted["messages"]):
            return False
    elif (wanted.get("connected", "true") == "true") != (serial is not None):
        return False
    return (
        wanted.get("serial", serial) == serial
        and ("not_serial" not in wanted or serial != wanted["not_serial"])
        and len(device.connections) >= int(wanted.get("connections", 0))
    )
