# SPDX-License-Identifier: Apache-2.0
"""Renewals and hours beside thin-edge's packages, by our unit or by thin-edge's own, measured one after the other."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from bench import stage
from bench.figures import Series
from bench.renewal import DAY_S, IDLE_S
from bench.traffic import Account, Traffic
from system import thin_edge
from system.device import Device
from system.machine import await_until
from system.renewer import SERVICE
from tenant.client import Tenant

TOML = "/etc/tedge/tedge.toml"
RESTART = "tedge-cert-renewer-mapper@c8y.service"
BROKER = "mosquitto.service"
MEMO = "/run/tedge-cert-renewer/c8y.hour"

FELL, CONNECTED = "the link falls", "the link is back"
PROCESS = "its new process begins"
# What systemd notes of a unit, in the order in which it happens when the mapper is restarted.
_NOTED = (
    ("systemd begins to restart the mapper", RESTART, "InactiveExitTimestampMonotonic"),
    ("systemd tells the mapper to stop", thin_edge.MAPPER, "ActiveExitTimestampMonotonic"),
    ("it has stopped", thin_edge.MAPPER, "InactiveEnterTimestampMonotonic"),
    (PROCESS, thin_edge.MAPPER, "ExecMainStartTimestampMonotonic"),
)
MOMENTS = (FELL, *(name for name, _, _ in _NOTED), CONNECTED)


@dataclass
class Measured:
    """What the renewals by one unit took."""

    outage_s: Series = field(default_factory=Series)
    wall_s: Series = field(default_factory=Series)
    unit_ms: Series = field(default_factory=Series)
    device_ms: Series = field(default_factory=Series)
    """without what the messages cost"""
    accounts: list[Account] = field(default_factory=list)
    broker_restarts: int = 0
    moments_s: dict[str, Series] = field(default_factory=lambda: {name: Series() for name in MOMENTS})
    """when what follows the rename of the certificate happens, from there on"""
    start_s: Series = field(default_factory=Series)
    """from the new process of the mapper until its link is up"""


@dataclass
class Renewals:
    """Measures one renewal after the other on a device."""

    device: Device
    tenant: Tenant
    topics: tuple[str, ...]
    rate: float
    least_s: float
    """how long messages are sent around each renewal, at least"""
    has_mapper: bool

    def __post_init__(self) -> None:
        self._settings = self.device.read(TOML)
        self._days = 365

    def renew(self, unit: str, into: Measured) -> None:
        """Measure one renewal by a unit."""
        device, tenant = self.device, self.tenant
        self._make_due()
        number, broker = len(self._connections()), device.unit(BROKER, "MainPID")
        with Traffic(device, tenant, self.rate, topics=self.topics) as traffic:
            first_s = time.monotonic()
            idle_ms_each_s = self._idle()
            used_ms, began_s = device.cpu_ns / 1e6, time.monotonic()
            into.unit_ms.add(stage.activate(device, unit))
            into.wall_s.add(time.monotonic() - began_s)
            tenant.wait_connected(device.name)
            # The mapper still starts when its link is up.
            time.sleep(IDLE_S)
            used_ms = device.cpu_ns / 1e6 - used_ms
            into.device_ms.add(used_ms - idle_ms_each_s * (time.monotonic() - began_s))
            time.sleep(max(0.0, first_s + self.least_s - time.monotonic()))
            renamed_s = [each.at for each in traffic.events() if each.what == "replaced"]
            into.accounts.append(traffic.stop())
        into.broker_restarts += broker != device.unit(BROKER, "MainPID")
        # Times of the tenant are of this machine's clock too.
        ahead_s = time.time() - time.monotonic()
        connections = self._connections()
        fell_s, back_s = connections[number - 1]["until"] - ahead_s, connections[-1]["since"] - ahead_s
        into.outage_s.add(back_s - fell_s)
        if self.has_mapper and unit == SERVICE:
            self._note(into, renamed_s[-1], {FELL: fell_s, CONNECTED: back_s})

    def rest(self) -> None:
        """Let nothing be due."""
        self.device.write(TOML, self._settings, owner="tedge:tedge")

    def _make_due(self) -> None:
        """Raise the threshold above the certificate's lifetime, and what is granted next above the threshold."""
        self.tenant.settings(lifetime_s=(self._days + 2) * DAY_S)
        threshold = f'[certificate.validity]\nminimum_duration = "{self._days + 1}d"\n'
        self.device.write(TOML, f"{self._settings}{threshold}", owner="tedge:tedge")
        self._days += 2

    def _connections(self) -> list[dict[str, float]]:
        found: list[dict[str, float]] = self.tenant.device(self.device.name)["connections"]
        return found

    def _idle(self) -> float:
        """Return the CPU time in ms that the device takes in a second, with the messages."""
        before_ns, began_s = self.device.cpu_ns, time.monotonic()
        time.sleep(IDLE_S)
        return (self.device.cpu_ns - before_ns) / 1e6 / (time.monotonic() - began_s)

    def _note(self, into: Measured, renamed_s: float, moments_s: dict[str, float]) -> None:
        for name, unit, noted in _NOTED:
            moments_s[name] = int(self.device.unit(unit, noted)[noted]) / 1e6
        for name, at_s in moments_s.items():
            into.moments_s[name].add(at_s - renamed_s)
        into.start_s.add(moments_s[CONNECTED] - moments_s[PROCESS])


def hours(units: Mapping[str, tuple[Device, str]], times: int) -> dict[str, Series]:
    """Measure hours in which nothing is due, by these units of these devices in turn; the CPU of the unit in ms."""
    for device, unit in units.values():
        # Until then each one makes the full check of the day.
        device.run(["rm", "-f", MEMO])
        if unit == SERVICE:
            await_until(partial(_leaves_memo, device, unit), f"a memo of {unit}", 20, 0.5)
    found = {name: Series() for name in units}
    for number in range(times + 1):
        for name, (device, unit) in units.items():
            used_ms = stage.activate(device, unit, "exec-condition")
            if number:  # the first round only fills caches
                found[name].add(used_ms)
    return found


def _leaves_memo(device: Device, unit: str) -> bool:
    stage.activate(device, unit, "exec-condition")
    return device.exists(MEMO)
