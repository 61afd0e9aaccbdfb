# SPDX-License-Identifier: Apache-2.0
"""What a device writes into the tenant by MQTT: its object, alarms, fragments (SmartREST 2.0 and JSON)."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tenant.state import State

_SEVERITIES = {"301": "CRITICAL", "302": "MAJOR", "303": "MINOR", "304": "WARNING"}
_UPDATE = "inventory/managedObjects/update/"

Answer = Callable[[str, bytes, int], bool]


def serve(state: State, device: str, topic: str, payload: bytes, answer: Answer) -> None:
    """Do what a message asks for."""
    if topic == "s/us":
        for fields in csv.reader(payload.decode(errors="replace").splitlines()):
            if fields:
                _serve_line(state, device, fields, answer)
    elif topic.startswith(_UPDATE):
        # By the external id of the device, as the bridge of thin-edge has it.
        number = state.identities.get(("c8y_Serial", topic.removeprefix(_UPDATE)), "")
        content = json.loads(payload)
        if number in state.objects and isinstance(content, dict):
            state.objects[number].update(content)


def _serve_line(state: State, device: str, fields: list[str], answer: Answer) -> None:
    template, values = fields[0], [*fields[1:], "", ""]
    if template == "100":
        _create_object(state, device, values, answer)
    elif template == "123":
        _tell_id(state, device, answer)
    elif template in _SEVERITIES:
        _raise_alarm(state, device, _SEVERITIES[template], values)
    elif template == "306":
        for alarm in _active(state, device, values[0]):
            alarm["status"] = "CLEARED"


def _create_object(state: State, device: str, values: list[str], answer: Answer) -> None:
    """Create the device's object, or say that there is one."""
    if _object_of(state, device):
        answer("s/e", b"41,100,Device already existing", 0)
        return
    state.add_device(device, {"name": values[0], "type": values[1]})


def _tell_id(state: State, device: str, answer: Answer) -> None:
    """Say what the device's object is called."""
    own = _object_of(state, device)
    answer("s/ds", f"124,{own}".encode(), 1) if own else answer("s/e", b"50,123,No object of that device", 0)


def _raise_alarm(state: State, device: str, severity: str, values: list[str]) -> None:
    """An alarm of a type that is active already is counted once more."""
    for alarm in _active(state, device, values[0]):
        alarm.update(count=alarm["count"] + 1, text=values[1], severity=severity)
        return
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}"
    made = {"type": values[0], "text": values[1], "severity": severity, "status": "ACTIVE", "count": 1}
    state.add_record("/alarm/alarms", {**made, "time": now, "source": {"id": _object_of(state, device)}})


def _active(state: State, device: str, kind: str) -> list[dict[str, Any]]:
    source = {"id": _object_of(state, device)}
    kept = state.records.get("/alarm/alarms", {}).values()
    return [a for a in kept if a["type"] == kind and a["source"] == source and a["status"] != "CLEARED"]


def _object_of(state: State, device: str) -> str:
    found = (number for number, each in state.objects.items() if each.get("owner") == device)
    return next(found, "")
