# SPDX-License-Identifier: Apache-2.0
"""How a step ended, and what that makes of the state: functions of facts, nothing is read or written here."""

from dataclasses import dataclass, replace

from tedge_cert import events
from tedge_cert.device.state import State
from tedge_cert.errors import (
    CandidateRejectedError,
    CertificateError,
    ClockError,
    ConfigurationError,
    ExpiredError,
    HeldBackError,
    NoAnswerError,
    NotTrustedYetError,
    RequestRefusedError,
    RolledBackError,
    TedgeCertError,
)
from tedge_cert.events import Event
from tedge_cert.hourly import schedule
from tedge_cert.hourly.validity import Validity

CONDITION, RENEW, VERIFY = "condition", "renew", "verify"
# A broken device says so every hour, but its flash memory is not written to for that more than once a day.
RECORD_AGAIN_S = 86_400
_REASON_CHARACTERS = 1_000

# The first that fits, so that what is particular stands before what is general.
_EVENTS: tuple[tuple[type[Exception], Event], ...] = (
    (RolledBackError, events.ROLLED_BACK),
    (CandidateRejectedError, events.CANDIDATE_REJECTED),
    (NotTrustedYetError, events.NOT_TRUSTED_YET),
    (RequestRefusedError, events.REQUEST_REFUSED),
    (NoAnswerError, events.NO_ANSWER),
    (ClockError, events.CLOCK_WRONG),
    (ExpiredError, events.CERTIFICATE_EXPIRED),
    (CertificateError, events.CERTIFICATE_UNUSABLE),
    (ConfigurationError, events.CONFIGURATION_BROKEN),
    (HeldBackError, events.HELD_BACK),
    (TedgeCertError, events.STEP_FAILED),
)
_SUCCESSES = (events.RENEWED, events.CONFIRMED_LATE, events.NOT_NEEDED)


@dataclass(frozen=True)
class Result:
    """How a step ended, and why."""

    step: str
    event: Event
    reason: str
    # What the tenant asked for by Retry-After.
    requested_s: int | None = None

    @staticmethod
    def of(step: str, error: Exception) -> "Result":
        """What an error makes of a step."""
        event = next((event for kind, event in _EVENTS if isinstance(error, kind)), events.STEP_FAILED)
        requested_s = error.retry_after_s if isinstance(error, RequestRefusedError) else None
        return Result(step, event, str(error), requested_s)

    @property
    def is_success(self) -> bool:
        """Whether nothing is left to be done."""
        return self.event in _SUCCESSES


def state_after(
    before: State, result: Result, settings: str, active: Validity | None, minimum_s: int, now_s: int
) -> State:
    """The state that a run leaves, from the one that it found; ``active`` is the certificate, if it can be read."""
    if result.event in (events.HELD_BACK, events.THRESHOLD_TOO_LONG):
        # The last failure is what there is to know, and the renewal before this remark.
        return before
    ended = replace(
        before,
        result=result.event.name,
        step=result.step,
        reason=result.reason[:_REASON_CHARACTERS],
        at_s=now_s,
        settings=settings,
    )
    if active is not None:
        ended = replace(ended, serial=active.serial, not_before_s=active.not_before_s, not_after_s=active.not_after_s)
    if result.is_success:
        return _after_success(ended, result, active, minimum_s)
    if result.step == CONDITION:
        again = before.result == result.event.name and 0 <= now_s - before.at_s < RECORD_AGAIN_S
        return before if again else ended
    return _after_failure(ended, before, result, active)


def _after_success(ended: State, result: Result, active: Validity | None, minimum_s: int) -> State:
    ended = replace(ended, attempts=0, next_attempt_s=0)
    if result.event is events.NOT_NEEDED:
        return ended
    is_guarded = active is not None and schedule.is_due_at_once(active.left_s(ended.at_s), minimum_s)
    return replace(ended, succeeded_s=ended.at_s, guarded=ended.not_after_s if is_guarded else 0)


def _after_failure(ended: State, before: State, result: Result, active: Validity | None) -> State:
    # Attempts with other settings say nothing about these.
    attempts = (before.attempts if before.settings == ended.settings else 0) + 1
    next_attempt_s = 0
    if result.event.holds_back and active is not None:
        left_s = active.left_s(ended.at_s)
        next_attempt_s = ended.at_s + schedule.pause_s(active.common_name, attempts, left_s, result.requested_s)
    return replace(ended, attempts=attempts, next_attempt_s=next_attempt_s)
