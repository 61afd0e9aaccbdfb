# SPDX-License-Identifier: Apache-2.0
"""What the tenant knows: devices, their certificates, connections and messages, and what it was asked."""

import asyncio
import copy
import time
from base64 import b64encode
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, Protocol

from cryptography import x509

from tenant.authority import pem


class Session(Protocol):
    """The open MQTT connection of a device, as the rest of the tenant sees it."""

    serial: str

    def close(self, why: str) -> None:
        """End the connection."""

    def send(self, topic: str, payload: bytes, qos: int) -> bool:
        """Publish to the device; False if it is not subscribed."""


@dataclass
class Connection:
    """One accepted MQTT connection."""

    serial: str
    address: str
    since: float
    until: float | None = None
    why_closed: str | None = None


@dataclass
class Issued:
    """One certificate that was issued, or trusted by hand."""

    serial: str
    not_before: float
    not_after: float
    pem: str
    subject: bytes
    at: float
    how: str


@dataclass
class Device:
    """All about one device."""

    id: str
    connections: list[Connection] = field(default_factory=list)
    issued: list[Issued] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    evictions: int = 0
    session: Session | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def changed(self) -> None:
        """Wake those who wait for something of this device."""
        self._changed.set()
        self._changed = asyncio.Event()

    def next_change(self) -> asyncio.Event:
        """An event that is set at the next change."""
        return self._changed

    def record(self, topic: str, payload: bytes, qos: int, serial: str) -> None:
        """Keep a message."""
        message: dict[str, Any] = {
            "index": self.next_index(),
            "topic": topic,
            "qos": qos,
            "time": time.time(),
        }
        try:
            message["payload"] = payload.decode()
        except UnicodeDecodeError:  # not text, so it is shown as base64
            message["payload_base64"] = b64encode(payload).decode()
        self.messages.append({**message, "serial": serial})
        self.changed()

    def next_index(self) -> int:
        """The index of the next message."""
        return self.messages[-1]["index"] + 1 if self.messages else 0

    def show(self) -> dict[str, Any]:
        """The device as JSON can hold it; the messages are asked for apart."""
        hidden = {"subject"}
        return {
            "id": self.id,
            "connected": self.session is not None,
            "serial": self.session.serial if self.session else None,
            "connections": [asdict(connection) for connection in self.connections],
            "issued": [{k: v for k, v in asdict(i).items() if k not in hidden} for i in self.issued],
            "evictions": self.evictions,
            "messages": len(self.messages),
        }


@dataclass
class State:
    """The whole tenant."""

    devices: dict[str, Device] = field(default_factory=dict)
    registrations: dict[str, dict[str, Any]] = field(default_factory=dict)  # with the one-time password
    requests: list[dict[str, Any]] = field(default_factory=list)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)  # the inventory
    records: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)  # alarms and operations, by path
    identities: dict[tuple[str, str], str] = field(default_factory=dict)  # objects by type and external id
    trusted: dict[str, dict[str, Any]] = field(default_factory=dict)  # uploaded certificates by fingerprint
    revoked: set[str] = field(default_factory=set)
    failed_handshakes: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=1000))
    version: int = 0  # goes up whenever the judgement of a certificate may have changed
    _owners: dict[str, tuple[str, float]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1000))

    def device(self, name: str) -> Device:
        """The device, made known by asking for it."""
        return self.devices.setdefault(name, Device(name))

    def add_issued(self, device: str, der: bytes, how: str) -> Issued:
        """Remember a certificate of a device."""
        loaded = x509.load_der_x509_certificate(der)
        issued = Issued(
            serial=str(loaded.serial_number),
            not_before=loaded.not_valid_before_utc.timestamp(),
            not_after=loaded.not_valid_after_utc.timestamp(),
            pem=pem(der),
            subject=loaded.subject.public_bytes(),
            at=time.time(),
            how=how,
        )
        self.device(device).issued.append(issued)
        self._owners[issued.serial] = (device, issued.at)
        self.version += 1
        return issued

    def issued_at(self, serial: str) -> float:
        """When the certificate was issued here; 0 if it was not."""
        return self._owners.get(serial, ("", 0.0))[1]

    def opened(self, device: Device, session: Session, address: str) -> Connection:
        """Note an accepted connection; an older one of the same client id is closed (MQTT 3.1.1, 3.1.4-2)."""
        if device.session is not None:
            device.evictions += 1
            device.session.close("evicted")
        connection = Connection(session.serial, address, time.time())
        device.connections.append(connection)
        device.session = session
        device.changed()
        return connection

    def closed(self, device: Device, session: Session, connection: Connection, why: str) -> None:
        """Note the end of a connection."""
        connection.until, connection.why_closed = time.time(), why
        if device.session is session:
            device.session = None
        device.changed()

    def add_object(self, content: dict[str, Any]) -> dict[str, Any]:
        """Put an object into the inventory."""
        number = str(next(self._numbers))
        self.objects[number] = {**content, "id": number}
        return self.objects[number]

    def add_device(self, device: str, content: dict[str, Any]) -> dict[str, Any]:
        """Put a device into the inventory, to be found by its serial."""
        made = self.add_object({**content, "owner": device, "c8y_IsDevice": {}})
        self.identities[("c8y_Serial", device)] = made["id"]
        return made

    def add_record(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        """Keep an alarm or an operation."""
        kept = self.records.setdefault(path, {})
        number = str(len(kept) + 1)
        kept[number] = {**content, "id": number, "creationTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}"}
        return kept[number]

    def keep(self) -> "Kept":
        """Return a copy of what is known, for `restore`."""
        plain = {name: copy.deepcopy(getattr(self, name)) for name in _PLAIN}
        devices = {name: (list(each.issued), copy.deepcopy(each.messages)) for name, each in self.devices.items()}
        return Kept(plain, devices)

    def restore(self, kept: "Kept") -> None:
        """Know again what was known then; an open connection stays and is the only one of its device."""
        for name, value in kept.plain.items():
            setattr(self, name, copy.deepcopy(value))
        self.failed_handshakes.clear()
        for name in set(self.devices) - set(kept.devices):
            if self.devices[name].session is None:
                del self.devices[name]
        for device in self.devices.values():
            issued, messages = kept.devices.get(device.id, ([], []))
            device.issued, device.messages = list(issued), copy.deepcopy(messages)
            device.connections = [each for each in device.connections if each.until is None]
            device.evictions = 0
            device.changed()
        self.version += 1


_PLAIN = ("registrations", "requests", "objects", "records", "identities", "trusted", "revoked", "_owners")


@dataclass(frozen=True)
class Kept:
    """What a tenant knew at some moment."""

    plain: dict[str, Any]
    devices: dict[str, tuple[list[Issued], list[dict[str, Any]]]]
