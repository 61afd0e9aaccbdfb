# SPDX-License-Identifier: Apache-2.0
"""Ask systemd about the units, the journal and the clock, in the background while the rest is looked up."""

import calendar
import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from tedge_cert import systemd
from tedge_cert.deadline import Deadline
from tedge_cert.device.instance import Names
from tedge_cert.errors import BROKEN_CONDITION
from tedge_cert.processes import PATH
from tedge_cert.status.facts import UnitFacts

# For all questions together: they are asked at the same time.
TIMEOUT_S = 5.0
_PROPERTIES = (
    "Id", "LoadState", "ActiveState", "UnitFileState", "NextElapseUSecRealtime", "InactiveEnterTimestamp", "Result",
    "ExecCondition", "Environment", "User", "ProtectSystem", "NoNewPrivileges", "CapabilityBoundingSet",
)  # fmt: skip
# What the manager writes when a step could not be started, and at the end of each run
# (systemd.catalog: SD_MESSAGE_SPAWN_FAILED, SD_MESSAGE_UNIT_SKIPPED, _SUCCESS, _FAILURE_RESULT).
_NOT_STARTED = "641257651c1b4ec9a8624d7a40a9e1e7"
_ENDS = (
    "0e4284a0caca4bfc81c0bb6786972673", "7ad2d189f7e94e70a38c781354912448", "d9b373ed55a64feb8242e02dbe79a49c",
)  # fmt: skip
_CLOCK = ("NTPSynchronized", "NTP", "CanNTP")
# systemd writes it where it runs in a container (the "Container Interface" of systemd.io).
_CONTAINER = Path("/run/systemd/container")
_CONDITION = "/usr/bin/tedge-cert-needs-renewal"
_BROKER = "mosquitto.service"
# A registration that waits for its next attempt is active, and the journal of one that has failed says why.
_AT_WORK = ("activating", "failed")
# From here on an exit status comes from systemd itself, for a program that it could not start (systemd.exec(5)).
_FIRST_OF_SYSTEMD = 200


class Inquiry:
    """The questions to systemd that are under way."""

    def __init__(self, names: Names, asks_for_units: bool) -> None:
        # Units elsewhere belong to the configuration of the system, not to this one.
        self.asks_for_units = asks_for_units
        self._deadline = Deadline(TIMEOUT_S)
        self._clock = _start(["timedatectl", "show", *(f"--property={each}" for each in _CLOCK)])
        self._timer, self._service, self._registration = names.timer, names.service, names.registration
        self._shown = self._journal = None
        if asks_for_units:
            units = [each for each in (self._timer, self._service, self._registration, _BROKER) if each]
            self._shown = _start(["systemctl", "show", f"--property={','.join(_PROPERTIES)}", *units])
            fields = "--output-fields=MESSAGE,MESSAGE_ID,INVOCATION_ID"
            self._journal = _start(
                ["journalctl", "--quiet", "--no-pager", "--lines=4", "--output=json", fields, *matches(self._service)]
            )

    def units(self) -> UnitFacts | None:
        """Return what systemd answered about the units; None if it did not answer, or does not run them."""
        shown, entries = self._output(self._shown), self._output(self._journal)
        blocks = [systemd.properties(block.splitlines()) for block in shown.split("\n\n")]
        by_name = {block.get("Id", ""): block for block in blocks}
        if self._timer not in by_name:
            return None
        found = facts_of(
            by_name[self._timer], by_name.get(self._service, {}), entries, by_name.get(self._registration, {})
        )
        broker = by_name.get(_BROKER, {}).get("LoadState") != "not-found"
        return replace(found, has_broker=broker, has_program=os.access(_CONDITION, os.X_OK))

    def clock(self) -> tuple[bool | None, str]:
        """Return whether the clock is synchronised (None if that is not known), and the ``timekeeper`` of the facts."""
        return clock_of(self._output(self._clock), _CONTAINER.exists())

    def _output(self, process: "subprocess.Popen[str] | None") -> str:
        if process is None:
            return ""
        try:
            return process.communicate(timeout=self._deadline.left_s())[0]
        except subprocess.TimeoutExpired:
            process.kill()
            return process.communicate()[0]


def clock_of(shown: str, in_container: bool) -> tuple[bool | None, str]:
    """Return whether the clock is synchronised, and what could set it, by the properties of timedatectl."""
    found = systemd.properties(shown.splitlines())
    synchronised = systemd.synchronised_by(shown)
    if in_container:
        return synchronised, "container"
    if found.get("CanNTP") == "no":
        return synchronised, "missing"
    return synchronised, {"yes": "on", "no": "off"}.get(found.get("NTP", ""), "")


def matches(service: str) -> list[str]:
    """Return which entries about ``service`` journalctl selects: how its runs ended, and why one did not begin.

    Any local user can log any field, save those that journald adds itself, with an underscore in front
    (systemd.journal-fields(7)). So the ends come from process 1, and what could not be started is said by root, or by
    the process of the unit that was to become the program.
    """
    unit, not_started = f"UNIT={service}", f"MESSAGE_ID={_NOT_STARTED}"
    ends = [f"MESSAGE_ID={each}" for each in _ENDS]
    return [
        *("_PID=1", "_UID=0", unit, *ends),
        *("+", "_UID=0", unit, not_started),
        *("+", f"_SYSTEMD_UNIT={service}", unit, not_started),
    ]


def facts_of(
    timer: Mapping[str, str],
    service: Mapping[str, str],
    entries: str,
    registration: Mapping[str, str] = MappingProxyType({}),
) -> UnitFacts:
    """Return the facts in the properties of the units, and in the journal's entries about the service."""
    return UnitFacts(
        timer=timer.get("Id", ""),
        service=service.get("Id", ""),
        is_installed=timer.get("LoadState") == "loaded" and service.get("LoadState") == "loaded",
        is_enabled=timer.get("UnitFileState", "").startswith("enabled"),
        is_active=timer.get("ActiveState") == "active",
        next_run_s=_seconds(timer.get("NextElapseUSecRealtime", "")),
        is_running=service.get("ActiveState") == "activating",
        has_failed=service.get("ActiveState") == "failed",
        failed_s=_seconds(service.get("InactiveEnterTimestamp", "")) if service.get("ActiveState") == "failed" else 0,
        result=service.get("Result", ""),
        registration=registration.get("Id", "") if registration.get("ActiveState") in _AT_WORK else "",
        not_started=_not_started(service.get("ExecCondition", ""), entries),
        is_confined=_is_confined(service),
        user=service.get("User", ""),
        environment=systemd.properties(service.get("Environment", "").split()),
    )


def _is_confined(service: Mapping[str, str]) -> bool:
    """Return whether no drop-in has removed the confinement of the steps."""
    return (
        service.get("User") not in ("", "root", "0", None)
        and service.get("ProtectSystem") == "strict"
        and service.get("NoNewPrivileges") == "yes"
        and not service.get("CapabilityBoundingSet")
    )


def _not_started(condition: str, entries: str) -> str:
    """Return why the condition of the last run was never executed; empty if it was."""
    found = [json.loads(line) for line in entries.splitlines() if line.startswith("{")]
    last = [each for each in found if each.get("INVOCATION_ID") == found[-1].get("INVOCATION_ID")]
    told = [str(each.get("MESSAGE", "")) for each in last if each.get("MESSAGE_ID") == _NOT_STARTED]
    # A user who may not read the journal sees the exit status, as long as the manager remembers the run.
    words = systemd.properties(part.strip() for part in condition.strip("{} ").split(" ; "))
    status = words.get("status", "").partition("/")[0]
    if words.get("start_time", "[n/a]") == "[n/a]" or not status.isdecimal():
        return told[-1] if told else ""
    if not _FIRST_OF_SYSTEMD <= int(status) < BROKEN_CONDITION:
        return ""
    return told[-1] if told else f"{words.get('path', 'the condition')} could not be started (status {status})"


def _seconds(stamp: str) -> int:
    """Return the seconds of ``Tue 2026-11-24 19:02:55 UTC``; 0 for never. `--timestamp=unix` does not change it."""
    words = stamp.split()
    if len(words) != 4 or words[3] != "UTC":
        return 0
    return calendar.timegm(time.strptime(" ".join(words[1:3]), "%Y-%m-%d %H:%M:%S"))


def _start(command: list[str]) -> "subprocess.Popen[str] | None":
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            env={"PATH": PATH, "LANG": "C.UTF-8", "TZ": "UTC"},
        )
    except FileNotFoundError:
        return None
