# SPDX-License-Identifier: Apache-2.0
"""Renewals of a fleet for real: the library in many processes, a tenant with a limit, an hour pressed into seconds.

All devices are due within an hour that lasts some seconds; a timer strikes four times in it, and the tenant asks whom
it refuses to come back in an hour.
"""

import heapq
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.fleet_visit import RENEWED, Visit, activate, begin, promote
from tenant.client import Tenant
from unit.connected import certify, serial_of
from unit.local_device import LocalDevice, free_address

WORKERS = 6
# Each of so many devices also takes its new certificate into use, proved by MQTT.
SAMPLE = 20
# The tenant needs so many hours for all of them.
HOURS_OF_WORK, STRIKES = 4, 4
# So long is an hour for each device, so that two cores have time for all requests, refused ones included.
HOUR_OF_DEVICE_S = 0.02
_REENROL = "/.well-known/est/simplereenroll"


@dataclass
class Outcome:
    """What became of it."""

    devices: int
    hour_s: int
    limit: int
    seconds: float = 0
    visits: list[Visit] = field(default_factory=list)
    promoted: list[Visit] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    """answers to requests for a certificate"""
    early: int = 0
    """requests that came before the time that Retry-After had named"""
    lost: int = 0
    """devices without exactly the candidate that the tenant issued last"""
    doubled: int = 0
    """devices for which more than one certificate was issued"""

    @property
    def is_good(self) -> bool:
        """Whether the goals are met."""
        good_proofs = all(each.result == RENEWED for each in self.promoted)
        return not (self.lost or self.doubled or self.early or self.errors) and good_proofs

    @property
    def errors(self) -> list[str]:
        """Why activations failed, other than by a refusal of the tenant's limit."""
        failed = [each.reason for each in self.visits if each.reason and " answered 429 " not in each.reason]
        return failed + [each.reason or "unfinished" for each in self.promoted if each.result != RENEWED]

    def rows(self) -> list[list[str]]:
        """The table."""
        took = [each.seconds for each in self.visits if each.result == RENEWED] or [0]
        issued, proved = self.statuses[200], sum(each.result == RENEWED for each in self.promoted)
        return [
            ["devices, all due within an hour", f"{self.devices:,}"],
            ["an hour, and Retry-After, in seconds", f"{self.hour_s}"],
            ["limit, certificates in a second", f"{self.limit}"],
            ["until the last was renewed, s", f"{self.seconds:.0f}"],
            ["certificates issued", f"{issued:,}"],
            ["in a second, on average", f"{issued / self.seconds:.1f}"],
            ["activations, of these held back", f"{len(self.visits):,}, {self._held_back:,}"],
            ["requests refused with 429", f"{self.statuses[429]:,}"],
            ["requests before the end of Retry-After (goal: 0)", f"{self.early}"],
            ["condition and renewal, median and longest, s", f"{median(took):.2f}, {max(took):.2f}"],
            ["taken into use, proved by MQTT", f"{proved} of {len(self.promoted)}"],
            ["errors (goal: 0)", f"{len(self.errors)}"],
            ["devices without their certificate (goal: 0)", f"{self.lost}"],
            ["devices with more than one (goal: 0)", f"{self.doubled}"],
        ]

    @property
    def _held_back(self) -> int:
        return len(self.visits) - sum(each.result == RENEWED or bool(each.reason) for each in self.visits)


class Fleet:
    """Devices in directories, and processes that activate them."""

    def __init__(self, directory: Path, tenant: Tenant, number: int, hour_s: int) -> None:
        self._tenant, self._hour_s = tenant, hour_s
        self._devices = [LocalDevice(directory / str(n), tenant, f"sensor-{n:07}") for n in range(number)]
        for device in self._devices:
            certify(device)
        self._log = directory / "log"

    def renew(self) -> Outcome:
        """Let the hours pass until each device has a candidate, or nothing comes of it any more."""
        number, hour_s = len(self._devices), self._hour_s
        limit = max(1, round(number / hour_s / HOURS_OF_WORK))
        self._tenant.settings(est_limit=limit, est_limit_s=1, est_retry_after_s=hour_s)
        outcome = Outcome(number, hour_s, limit)
        with ProcessPoolExecutor(WORKERS, initializer=begin, initargs=(str(self._log),)) as pool:
            began_s = time.monotonic()
            strikes = [(began_s + n * hour_s / number, n) for n in range(number)]
            self._strike(pool, strikes, outcome)
            outcome.seconds = time.monotonic() - began_s
            self._promote(pool, outcome)
        self._account(outcome)
        return outcome

    def _strike(self, pool: ProcessPoolExecutor, strikes: list[tuple[float, int]], outcome: Outcome) -> None:
        """Activate each device whenever its timer strikes, until it is renewed."""
        running: dict[Future[Visit], tuple[float, int]] = {}
        ends_s = time.monotonic() + 10 * HOURS_OF_WORK * self._hour_s
        while (strikes or running) and time.monotonic() < ends_s:
            while strikes and strikes[0][0] <= time.monotonic() and len(running) < 2 * WORKERS:
                strike = heapq.heappop(strikes)
                running[pool.submit(activate, strike[1], str(self._devices[strike[1]].directory))] = strike
            left_s = max(0.0, strikes[0][0] - time.monotonic()) if strikes else None
            if not running:
                time.sleep(left_s or 0)
                continue
            is_full = len(running) >= 2 * WORKERS
            for done in wait(running, None if is_full else left_s, FIRST_COMPLETED).done:
                at_s, number = running.pop(done)
                visit = done.result()
                outcome.visits.append(visit)
                if visit.result != RENEWED:
                    heapq.heappush(strikes, (at_s + self._hour_s / STRIKES, number))

    def _promote(self, pool: ProcessPoolExecutor, outcome: Outcome) -> None:
        # Without tokens for client certificates there is no proof but that by MQTT.
        self._tenant.settings(device_access_token=False)
        sample = range(0, len(self._devices), SAMPLE)
        waiting = [pool.submit(promote, number, str(self._devices[number].directory)) for number in sample]
        outcome.promoted = [each.result() for each in waiting]

    def _account(self, outcome: Outcome) -> None:
        """Compare what the tenant kept with what the devices have."""
        state = self._tenant.state()
        asked = [each for each in state["requests"] if each["path"] == _REENROL]
        outcome.statuses = Counter(each["status"] for each in asked)
        outcome.early = _early(asked, self._hour_s)
        for device in self._devices:
            issued = [each for each in state["devices"][device.device_id]["issued"] if each["how"] != "issue"]
            has = serial_of(device.candidate) or serial_of(device.certificate)
            outcome.lost += not issued or has != issued[-1]["serial"]
            outcome.doubled += len(issued) > 1


def _early(asked: list[dict[str, Any]], retry_after_s: int) -> int:
    """How many requests came before their device was to come back."""
    not_before: dict[str, float] = {}
    early = 0
    for each in asked:
        early += each["time"] < not_before.get(each["device"], 0)
        if each["status"] == 429:
            not_before[each["device"]] = each["time"] + retry_after_s
    return early


def run(devices: int, say: Callable[[str], None], shortest_hour_s: int = 4) -> Outcome:
    """Make a tenant and its devices, and let them renew."""
    address = free_address()
    hour_s = max(shortest_hour_s, round(devices * HOUR_OF_DEVICE_S))
    with (
        TemporaryDirectory(prefix="bench-fleet-") as directory,
        Tenant.start(Path(directory) / "tenant", [address], address, token_port=8443) as tenant,
    ):
        say(f"making {devices} devices")
        fleet = Fleet(Path(directory), tenant, devices, hour_s)
        say(f"renewing: an hour is {hour_s} s")
        return fleet.renew()
