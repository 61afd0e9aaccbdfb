# SPDX-License-Identifier: Apache-2.0
"""The faults that a test can ask for: which exist, whom they meet, how often."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

# Seen by a client while its handshake runs, so the certificate is judged before the device has a name.
TLS_REFUSALS = ("tls-unknown-ca", "tls-revoked")
REFUSALS = ("connack", "close-after-connack", "close", "reset", *TLS_REFUSALS)
CERTIFICATE_FAULTS = ("wrong-key", "wrong-name", "expired", "not-yet-valid", "lifetime")
BODY_FAULTS = ("drip", "garbage", "empty", "truncated", "oversized")
ACCEPT_FAULTS = ("silent-at-accept", "reset-at-accept")
_CANDIDATES = ("device", "serials", "except_serials", "issued_after", "accept_first")
_PEER = (*_CANDIDATES, "address", "times")
_HTTP: dict[str, tuple[str, ...]] = {
    "status": ("status", "headers", "body", "after"),
    "silence": ("after",),
    "close": ("after",),
    "html": ("after",),
    "drip": ("interval_s",),
    "garbage": (),
    "empty": (),
    "truncated": (),
    "oversized": ("size",),
}
_EST: dict[str, tuple[str, ...]] = {
    **_HTTP,
    "wrong-key": (),
    "wrong-name": ("name",),
    "expired": ("seconds",),
    "not-yet-valid": ("seconds",),
    "lifetime": ("seconds",),
}
_MQTT: dict[str, tuple[str, ...]] = {
    "connack": ("code", *_PEER),
    "close-after-connack": _PEER,
    "close": _PEER,
    "reset": _PEER,
    # A failed handshake does not tell whose it was, so these cannot be counted.
    "tls-unknown-ca": _CANDIDATES,
    "tls-revoked": _CANDIDATES,
    "silent-at-accept": ("address", "times"),
    "reset-at-accept": ("address", "times"),
    "silent-after-connect": _PEER,
    "slow-connack": ("delay_s", *_PEER),
    "slow-puback": ("delay_s", "topic", *_PEER),
    "no-puback": ("topic", *_PEER),
    "close-after-publish": ("topic", *_PEER),
}
_TOKEN: dict[str, tuple[str, ...]] = {
    "silence": (),
    "malformed": ("payload",),
    "late": ("delay_s",),
    "expired": (),
}
# On the port of client certificates; its handshake is distinguished from that of MQTT.
_ACCESS: dict[str, tuple[str, ...]] = {
    **{do: (*_CANDIDATES, *parameters) for do, parameters in _HTTP.items()},
    **dict.fromkeys(TLS_REFUSALS, _CANDIDATES),
}
_KNOWN = {"est": _EST, "http": _HTTP, "mqtt": _MQTT, "token": _TOKEN, "access": _ACCESS}
_COMMON = {
    "est": ("device", "times", "path"),
    "http": ("device", "times", "path"),
    "token": ("device", "times"),
    "access": ("device", "times"),
}
_REQUIRED = {"status": "status", "not-yet-valid": "seconds", "lifetime": "seconds"}


@dataclass(frozen=True)
class Peer:
    """Who is met: an empty field is not known, and a fault that asks for it does not match."""

    device: str = ""
    serial: str = ""
    issued_at: float = 0.0
    address: str = ""
    path: str = ""
    topic: str = ""


@dataclass
class Fault:
    """One fault with what has happened to it so far."""

    spec: dict[str, Any]
    used: int = 0
    accepted: Counter[str] = field(default_factory=Counter)

    @property
    def do(self) -> str:
        """What it does."""
        return str(self.spec["do"])

    def get(self, name: str, default: Any) -> Any:
        """Return a parameter."""
        return self.spec.get(name, default)

    def exhausted(self) -> bool:
        """Whether `times` is used up."""
        return "times" in self.spec and self.used >= self.spec["times"]

    def meets(self, peer: Peer) -> bool:
        """Whether the fault is for this peer; the conditions it names hold all."""
        spec = self.spec
        wanted = {str(serial) for serial in spec.get("serials", [peer.serial])}
        spared = {str(serial) for serial in spec.get("except_serials", [])}
        return (
            all(spec.get(name, getattr(peer, name)) == getattr(peer, name) for name in ("device", "address", "topic"))
            and str(spec.get("path", "")) in peer.path
            and peer.serial in wanted
            and peer.serial not in spared
            and ("issued_after" not in spec or peer.issued_at > spec["issued_after"])
            and self.accepted[peer.serial] >= spec.get("accept_first", 0)
        )


def _checked(spec: object) -> dict[str, Any]:
    """Return a fault as it was given, if it exists with these parameters."""
    if not isinstance(spec, dict) or spec.get("where") not in _KNOWN:
        raise ValueError(f'fault: "where" must be one of {", ".join(_KNOWN)}: {spec!r}')
    where, do = spec["where"], spec.get("do")
    if do not in _KNOWN[where]:
        raise ValueError(f'fault: "do" must be one of {", ".join(_KNOWN[where])}: {spec!r}')
    allowed = {"where", "do", *_COMMON.get(where, ()), *_KNOWN[where][do]}
    if unknown := set(spec) - allowed:
        raise ValueError(f"fault: {where} {do} does not take {', '.join(sorted(unknown))}")
    if (needed := _REQUIRED.get(do, "do")) not in spec:
        raise ValueError(f'fault: {where} {do} needs "{needed}"')
    return dict(spec)


class FaultList:
    """The faults in force; the first one that matches is the one that happens."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def replace(self, specs: Iterable[object]) -> None:
        """Put these in the place of all others, their counts at zero."""
        if not isinstance(specs, list):
            raise ValueError("faults: expected a list")
        self._faults = [Fault(_checked(spec)) for spec in specs]

    def add(self, spec: object) -> None:
        """Add one."""
        self._faults.append(Fault(_checked(spec)))

    def show(self) -> list[dict[str, Any]]:
        """Every fault with the number of times it happened."""
        return [{**fault.spec, "used": fault.used} for fault in self._faults]

    def active(self, where: str, dos: Iterable[str]) -> list[Fault]:
        """The faults of this place that do one of `dos` and are not used up."""
        wanted = set(dos)
        return [f for f in self._faults if f.spec["where"] == where and f.do in wanted and not f.exhausted()]

    def take(self, where: str, dos: Iterable[str], peer: Peer) -> Fault | None:
        """Return the fault that happens to this peer now, and count it."""
        for fault in self.active(where, dos):
            if fault.meets(peer):
                fault.used += 1
                return fault
        return None

    def accepted(self, serial: str) -> bool:
        """Count an accepted connection for `accept_first`; whether any fault was waiting for that."""
        waiting = [fault for fault in self._faults if "accept_first" in fault.spec]
        for fault in waiting:
            fault.accepted[serial] += 1
        return bool(waiting)


EST_FAULTS = tuple(_EST)
HTTP_FAULTS = tuple(_HTTP)
ACCESS_FAULTS = HTTP_FAULTS
TOKEN_FAULTS = tuple(_TOKEN)
