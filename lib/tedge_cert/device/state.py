# SPDX-License-Identifier: Apache-2.0
"""Keep what a run found out for the next run and for other programs: a small file for each instance, without secrets.

It is read only when a certificate is due. A file that is missing or damaged counts as empty, so that it never stops a
renewal.
"""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from tedge_cert import journal
from tedge_cert.disk import files
from tedge_cert.errors import TedgeCertError

VERSION = 1
_LIMIT_BYTES = 65_536
# The largest time or count: sums of them stay small enough for every program that reads them.
_LIMIT = 1 << 53


RENEWALS = 10
"""As many renewals are remembered."""
_REASON_CHARACTERS = 300


@dataclass(frozen=True)
class PastRenewal:
    """How an earlier renewal ended, by event and reason, and the serial number of the certificate in use after it."""

    at_s: int
    result: str
    reason: str = ""
    serial: str = ""


@dataclass(frozen=True)
class State:
    """Times are seconds since the epoch; 0 and the empty text stand for "none"."""

    # The event that the last run ended with, the step it came from, and its line.
    result: str = ""
    step: str = ""
    reason: str = ""
    at_s: int = 0
    # Renewals that failed one after the other, and when the tenant may be asked again.
    attempts: int = 0
    next_attempt_s: int = 0
    # A fingerprint of the settings at that time: failures with other settings do not count.
    settings: str = ""
    succeeded_s: int = 0
    # The active certificate, and whether the key belongs to it, when a run last looked at both.
    serial: str = ""
    not_before_s: int = 0
    not_after_s: int = 0
    key_fits: bool | None = None
    looked_at_s: int = 0
    # The end of a certificate that was renewed with a threshold longer than its life.
    guarded: int = 0
    # When a person disconnected the instance; 0 while it is not disconnected on purpose.
    disconnected_s: int = 0
    # The last renewals, the newest first.
    renewals: tuple[PastRenewal, ...] = ()

    def as_last(self) -> dict[str, object]:
        """Return the object ``last`` of a status, at the local broker and in `tedge cert status --json`."""
        names = ("result", "step", "reason", "at_s", "attempts", "next_attempt_s", "succeeded_s")
        return {each: getattr(self, each) for each in names}


def load(path: Path) -> State:
    """Read the state in the file at ``path``."""
    try:
        return read(path)
    except ValueError as error:
        journal.warning(f"{error} and counts as empty; the next result replaces it")
        return State()


def read(path: Path) -> State:
    """Read the state in the file at ``path``, empty without one; raises ValueError for one that cannot be read."""
    try:
        found = json.loads(files.read_regular(path, _LIMIT_BYTES))
        if not isinstance(found, dict):
            raise ValueError("expected an object in JSON")
        known = {each.name: _checked(each.name, found[each.name]) for each in fields(State) if each.name in found}
    except FileNotFoundError:
        return State()
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path} cannot be read: {reason}") from error
    return State(**known)


def save(path: Path, state: State) -> None:
    """Write the state, readable by all; an error is a warning, because no renewal may fail for it."""
    known = {name: value for name, value in asdict(state).items() if value not in ("", None, ())}
    try:
        # Runs that were killed while writing leave them; no other process writes here while the lock is held.
        files.remove_stale_temporaries(path)
        files.write_state(path, json.dumps({"version": VERSION, **known}).encode())
    except (OSError, TedgeCertError) as error:
        journal.warning(f"the result of this run is not kept: {error}")


def end_pause(path: Path) -> None:
    """Let the next run ask the tenant again: a person ran a command and may have repaired what was wrong."""
    kept = load(path)
    if kept.next_attempt_s:
        save(path, replace(kept, next_attempt_s=0))


def set_disconnected(path: Path, at_s: int) -> None:
    """Remember when a person disconnected the instance; 0 when it is connected again."""
    kept = load(path)
    if kept.disconnected_s != at_s:
        save(path, replace(kept, disconnected_s=at_s))


def with_renewal(renewals: tuple[PastRenewal, ...], latest: PastRenewal) -> tuple[PastRenewal, ...]:
    """Return the renewals to remember after one more."""
    return (replace(latest, reason=latest.reason[:_REASON_CHARACTERS]), *renewals)[:RENEWALS]


def _checked(name: str, value: Any) -> Any:
    """Return ``value`` if it has the type of the field; raises ValueError."""
    if name == "renewals":
        return _renewals(value)
    expected = type(getattr(State(), name))
    if name == "key_fits":
        good = value is None or isinstance(value, bool)
    elif expected is int:
        good = type(value) is int and 0 <= value < _LIMIT
    else:
        good = isinstance(value, str)
    if not good:
        raise ValueError(f"{name} is {str(value)[:40]!r}")
    return value


def _renewals(value: Any) -> tuple[PastRenewal, ...]:
    """Return past renewals; raises ValueError. User tedge can write anything there, so their number is bounded."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError(f"renewals is {str(value)[:40]!r}")
    return tuple(_renewal(each) for each in value[:RENEWALS])


def _renewal(found: dict[str, Any]) -> PastRenewal:
    at_s, texts = found.get("at_s"), [found.get(name, "") for name in ("result", "reason", "serial")]
    if type(at_s) is not int or not 0 <= at_s < _LIMIT or not all(isinstance(each, str) for each in texts):
        raise ValueError(f"a renewal is {str(found)[:40]!r}")
    result, reason, serial = texts
    return PastRenewal(at_s, result, reason[:_REASON_CHARACTERS], serial)
