# SPDX-License-Identifier: Apache-2.0
"""The local client seen from outside: its messages, and the outages of the bridge as it saw them."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import Any, Self

from bench.local_client import STOP
from system.background import Background
from system.device import Device
from system.machine import await_until
from system.renewer import CERTIFICATE
from tenant.client import Tenant

RATE = 30.0
"""messages per second"""
SMARTREST, TELEMETRY = "c8y/s/us", "te/device/main///m/bench"
"""where the client publishes: for the bridge, and for the mapper of thin-edge"""
_SMARTREST_OF_TENANT, _MEASUREMENTS = "s/us", "measurement/measurements/create"
_PROGRAM = "/run/bench-local-client.py"
_BRIDGE = "/etc/tedge/mosquitto-conf/c8y-bridge.conf"
_HEALTH_OF_MAPPER = "te/device/main/service/tedge-mapper-bridge-c8y/status/health"
_NUMBERS = count()


@dataclass(frozen=True)
class Event:
    """What the client told; `at` in monotonic, `clock` in wall-clock seconds, both of this machine."""

    what: str
    value: Any
    at: float
    clock: float


@dataclass(frozen=True)
class Outage:
    """The bridge away: when it fell and returned, and what became of the certificate in between."""

    fall: Event
    back: Event
    opened: tuple[Event, ...]
    """a program reads the certificate"""
    replaced: Event | None
    """the renewer renames the new certificate"""

    @property
    def length_s(self) -> float:
        """Return how long the bridge was away."""
        return self.back.at - self.fall.at

    def seen_at(self, connections: list[float]) -> float:
        """Return when, by the wall clock, the tenant saw the bridge again; connections began at those times."""
        return min(since for since in connections if since > self.fall.clock)

    def read(self, connections: list[float]) -> Event | None:
        """Return when the broker read the certificate that it returned with; None if that went unseen.

        The renewer reads it too, but before the bridge is waited for, or once the tenant has seen it.
        """
        seen = self.seen_at(connections)
        return next((each for each in reversed(self.opened) if each.clock < seen), None)


@dataclass(frozen=True)
class Account:
    """What became of the messages."""

    numbers: int
    """how many were sent on each topic"""
    received: dict[str, Counter[int]]
    """the numbers that reached the tenant, by topic of the device"""
    unacknowledged: int
    disconnects: int
    kept: int
    """retained messages that the broker had afterwards"""

    @property
    def sent(self) -> int:
        """Return how many were sent."""
        return self.numbers * len(self.received)

    @property
    def arrived(self) -> int:
        """Return how many reached the tenant."""
        return self.sent - self.lost

    @property
    def duplicates(self) -> int:
        """Return how many reached it once more."""
        return sum(each.total() - len(each) for each in self.received.values())

    @property
    def lost(self) -> int:
        """Return how many never reached the tenant."""
        return sum(self.lost_on(each) for each in self.received)

    def lost_on(self, topic: str) -> int:
        """Return how many of those on a topic never reached the tenant."""
        return self.numbers - len(self.received[topic])


class Traffic:
    """A local client that publishes; use it as a context manager."""

    def __init__(
        self,
        device: Device,
        tenant: Tenant,
        rate: float = RATE,
        retained: int = 0,
        topics: Sequence[str] = (SMARTREST,),
    ) -> None:
        self._device, self._tenant, self._topics = device, tenant, topics
        tenant.clear_messages()
        self._name = f"bench{next(_NUMBERS)}"
        device.copy_in(Path(__file__).with_name("local_client.py"), _PROGRAM)
        words = [health_topic(device), CERTIFICATE, self._name, str(rate), str(retained), ",".join(topics)]
        self._client: Background = device.start(["/usr/bin/python3", "-u", _PROGRAM, *words])
        self._client.expect('"what": "health"')

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.stop()

    def events(self) -> list[Event]:
        """Return what the client has told so far."""
        return [Event(**json.loads(line)) for line in self._client.lines]

    def outages(self) -> list[Outage]:
        """Return the outages that are over."""
        told = self.events()
        health = [each for each in told if each.what == "health"]
        return [_outage(fall, back, told) for fall, back in pairwise(health) if (fall.value, back.value) == ("0", "1")]

    def await_outage(self, number: int) -> Outage:
        """Wait for the end of the outage of that number, counted from 0."""
        await_until(lambda: len(self.outages()) > number, f"the bridge's return, {number}", 60)
        return self.outages()[number]

    def stop(self) -> Account:
        """Let the client stop, wait for its messages at the tenant, and count them."""
        self._device.run(["mosquitto_pub", "-q", "1", "-t", STOP, "-n"])
        totals = Event(**json.loads(self._client.expect('"what": "end"', 30))).value
        self._client.wait()
        with suppress(TimeoutError):  # some are lost then, and the account tells it
            await_until(lambda: all(len(each) >= totals["sent"] for each in self._received().values()), "all", 15, 0.2)
        return Account(
            numbers=totals["sent"],
            received=self._received(),
            unacknowledged=totals["unacknowledged"],
            disconnects=totals["disconnects"],
            kept=totals["kept"],
        )

    def _received(self) -> dict[str, Counter[int]]:
        found: dict[str, Counter[int]] = {each: Counter() for each in self._topics}
        for each in self._tenant.messages(self._device.name):
            number, payload = "", str(each["payload"])
            if each["topic"] == _SMARTREST_OF_TENANT:
                topic, number = SMARTREST, payload.partition(f"200,{self._name},")[2]
            elif each["topic"] == _MEASUREMENTS and self._name in (made := json.loads(payload)):
                topic, number = TELEMETRY, made[self._name][self._name]["value"]
            if number != "":
                found[topic][int(number)] += 1
        return found


def _outage(fall: Event, back: Event, told: list[Event]) -> Outage:
    opened = tuple(each for each in told if each.what == "opened" and fall.at <= each.at <= back.at)
    # The news of the fall may reach the renewer before it reaches the client.
    replaced = (each for each in told if each.what == "replaced" and fall.at - 1 <= each.at <= back.at)
    return Outage(fall, back, opened, next(replaced, None))


def health_topic(device: Device) -> str:
    """Return the topic on which the broker, or the mapper of thin-edge, tells of its bridge."""
    lines = [line.split() for line in device.read(_BRIDGE).splitlines()]
    return next((words[1] for words in lines if words[:1] == ["notification_topic"]), _HEALTH_OF_MAPPER)
