# SPDX-License-Identifier: Apache-2.0
"""Report how a step ended: a plain line, the state, an event, the alarm at the tenant, in this order.

Errors while reporting are logged; they never fail a renewal.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tedge_cert import afterwards, events, journal, systemd
from tedge_cert.config.settings import Config, fingerprint
from tedge_cert.device import state
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance, Names, certificate_of, resolve, threshold_s
from tedge_cert.device.state import PastRenewal, State
from tedge_cert.durations import format_duration
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
    UnreadableError,
    WaitsForApprovalError,
)
from tedge_cert.events import Event
from tedge_cert.hourly import schedule
from tedge_cert.hourly.validity import Validity, read_validity
from tedge_cert.steps import back_off
from tedge_cert.times import iso_utc

if TYPE_CHECKING:
    from tedge_cert.tenant.alarm import Report

CONDITION, RENEW, VERIFY = "condition", "renew", "verify"
# A broken device reports the same failure every hour; its flash memory is written for that once a day.
RECORD_AGAIN_S = 86_400
UNKNOWN = "unknown"
NAMELESS = "this device"
_REASON_CHARACTERS = 1_000
# The first that fits: special errors come before general ones.
_EVENTS: tuple[tuple[type[Exception], Event], ...] = (
    (RolledBackError, events.ROLLED_BACK),
    (CandidateRejectedError, events.CANDIDATE_REJECTED),
    (NotTrustedYetError, events.NOT_TRUSTED_YET),
    (WaitsForApprovalError, events.WAITS_FOR_APPROVAL),
    (RequestRefusedError, events.REQUEST_REFUSED),
    (NoAnswerError, events.NO_ANSWER),
    (ClockError, events.CLOCK_WRONG),
    (ExpiredError, events.CERTIFICATE_EXPIRED),
    (CertificateError, events.CERTIFICATE_UNUSABLE),
    (ConfigurationError, events.CONFIGURATION_BROKEN),
    (HeldBackError, events.HELD_BACK),
)
# Nothing was renewed, and nothing failed that was not told before.
_WITHOUT_HOOKS = (events.NOT_NEEDED, events.WAITS_FOR_APPROVAL, events.HELD_BACK, events.THRESHOLD_TOO_LONG)


@dataclass(frozen=True)
class Result:
    """How a step ended, and why."""

    step: str
    event: Event
    reason: str
    # The tenant asked for this pause by Retry-After.
    requested_s: int | None = None
    # False for an error of the program itself.
    is_foreseen: bool = True

    @staticmethod
    def of(step: str, error: Exception) -> "Result":
        """Return the result of a step that ended with ``error``."""
        event = next((event for kind, event in _EVENTS if isinstance(error, kind)), events.STEP_FAILED)
        requested_s = error.retry_after_s if isinstance(error, RequestRefusedError) else None
        return Result(step, event, reason_of(error), requested_s, isinstance(error, TedgeCertError))

    @property
    def is_success(self) -> bool:
        """Return whether nothing is left to do."""
        return self.event in events.SUCCESSES


def reason_of(error: Exception) -> str:
    """Return an error as the line of a failed step; its class stands for an error that has no text of ours."""
    if isinstance(error, TedgeCertError):
        return str(error)
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    said = " ".join(str(error).split())
    return f"unexpected {type(error).__name__}{': ' if said else ''}{said}"


def state_after(
    before: State, result: Result, settings: str, active: Validity | None, minimum_s: int, now_s: int
) -> State:
    """Return the state after a run from the state before it; ``active`` is the certificate, if it can be read."""
    if result.event in (events.HELD_BACK, events.THRESHOLD_TOO_LONG):
        # These are no results: the last failure, or the renewal before, stays the last result.
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
    if result.step != CONDITION and result.event is not events.NOT_NEEDED:
        latest = PastRenewal(now_s, ended.result, "" if result.is_success else ended.reason, ended.serial)
        ended = replace(ended, renewals=state.with_renewal(before.renewals, latest))
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
    # Attempts with other settings say nothing about the present ones.
    attempts = (before.attempts if before.settings == ended.settings else 0) + 1
    next_attempt_s = 0
    if result.event.holds_back and active is not None:
        left_s = active.left_s(ended.at_s)
        next_attempt_s = ended.at_s + back_off.pause_s(active.device_id, attempts, left_s, result.requested_s)
    return replace(ended, attempts=attempts, next_attempt_s=next_attempt_s)


@contextmanager
def reported(
    step: str, instance: Instance, sharing: Callable[[Instance], list[Instance]] | None = None
) -> Iterator[None]:
    """Report any error of the block, for all instances that share the certificate; to be used under the lock.

    An unforeseen error counts as a failed step: without a pause the next hour would repeat it.
    """
    try:
        yield
    except Exception as error:
        journal.error(reason_of(error))
        if isinstance(error, TedgeCertError):
            error.is_logged = True
        for each in _concerned(instance, sharing):
            record(each, Result.of(step, error))
        raise


def _concerned(instance: Instance, sharing: Callable[[Instance], list[Instance]] | None) -> list[Instance]:
    try:
        return sharing(instance) if sharing else [instance]
    except TedgeCertError as error:
        journal.debug(f"who shares the certificate is not known: {error}")
        return [instance]


def succeeded(instances: list[Instance], event: Event, reason: str = "confirmed: it is in use") -> None:
    """Report that the certificate was confirmed, or that no renewal is needed; warn of a threshold that is too long."""
    for instance in instances:
        after = record(instance, Result(VERIFY, event, reason))
        if after.guarded and event is not events.NOT_NEEDED:
            _warn_of_threshold(instance, after.not_after_s - after.not_before_s)


def _warn_of_threshold(instance: Instance, lifetime_s: int) -> None:
    key, third = "certificate.validity.minimum_duration", format_duration(lifetime_s // schedule.GUARDED_PART, 1)
    reason = (
        f"{key} ({instance.config.need(key)}) is no shorter than what certificates are granted "
        f"({format_duration(lifetime_s, 2)}): the new one is left alone until a third of that is left; "
        f"`sudo tedge config set {key} {third}` makes this the threshold"
    )
    journal.warning(reason)
    record(instance, Result(VERIFY, events.THRESHOLD_TOO_LONG, reason))


def condition_failed(config: Config, cloud: str, error: Exception) -> None:
    """Report the error that the condition ended with; while another run holds the lock, leave the state to that run.

    With a broken configuration the place of the state is unknown, so only the event is sent.
    """
    result = Result.of(CONDITION, error)
    if result.event is not events.CONFIGURATION_BROKEN:
        try:
            instance = resolve(config, cloud)
            with custody(instance, wait_s=0, checked=False):
                record(instance, result)
        except TedgeCertError as busy:
            journal.debug(f"not recorded: {busy}")
        else:
            return
    names = Names(cloud, config.profile)
    fields = _fields(names, result, State(), _active(config, cloud))
    _send(config, result, fields)
    _keep_hooks(config, result, fields)


def record(instance: Instance, result: Result) -> State:
    """Record how a step ended and send its event; the caller has written the plain line and holds the lock."""
    active = _active(instance.config, instance.cloud)
    before = state.load(instance.state_file)
    minimum_s = _threshold(instance.config, active) if result.is_success else 0
    after = state_after(before, result, fingerprint(instance.config), active, minimum_s, int(time.time()))
    if after != before:
        # The condition runs without the libraries that this takes; after an unforeseen error they may be its cause.
        looks = result.step != CONDITION and result.is_foreseen
        state.save(instance.state_file, _with_key(instance, after) if looks else after)
    fields = _fields(instance, result, after, active)
    _send(instance.config, result, fields)
    if after != before:
        _keep_hooks(instance.config, result, fields, instance)
    systemd.status(result.event.headline)
    # What the condition finds is reported to the tenant by the next attempt.
    if after != before and result.step != CONDITION and instance.config.is_of_system:
        tell_fleet(instance)
    return after


def tell_fleet(instance: Instance) -> None:
    """Report how the last run ended, to the tenant and at the local broker; errors are logged, nothing fails."""
    from tedge_cert.device.connection_settings import broker_of
    from tedge_cert.tenant import alarm

    try:
        alarm.tell(report_of(instance), broker_of(instance), instance.state_file.with_suffix(".alarm"))
    except (OSError, TedgeCertError) as error:
        journal.info(f"this run was not reported: {error}")


def report_of(instance: Instance) -> "Report":
    """Collect what the last run left; raises ConfigurationError."""
    from tedge_cert.tenant.alarm import Report
    from tedge_cert.x509 import certificate

    validity = None
    try:
        validity = certificate.load(instance.certificate).validity
    except CertificateError as error:
        journal.debug(f"the certificate is not reported: {error}")
    return Report(
        name=instance.name,
        profile=instance.profile,
        now_s=int(time.time()),
        threshold_s=threshold_s(instance.config, validity.lifetime_s if validity else 0),
        state=state.load(instance.state_file),
        validity=validity,
        path=str(instance.certificate),
    )


def _threshold(config: Config, active: Validity | None) -> int:
    try:
        return threshold_s(config, active.lifetime_s if active else 0)
    except TedgeCertError:
        # The next step that reads the threshold reports what is wrong with it.
        return 0


def _active(config: Config, cloud: str) -> Validity | None:
    try:
        return read_validity(str(certificate_of(config, cloud)))
    except (OSError, ValueError, TedgeCertError):
        return None


def _with_key(instance: Instance, after: State) -> State:
    """Add to the state whether the key belongs to the certificate: `status` may run as a user who cannot read it."""
    from tedge_cert.x509 import certificate, keys

    try:
        keys.load_for(instance.key_file, certificate.load(instance.certificate), instance.certificate)
    except UnreadableError:
        # Nothing is known of a key in a token that is not there.
        return after
    except CertificateError:
        fits = False
    else:
        fits = True
    return replace(after, key_fits=fits, looked_at_s=after.at_s)


def _fields(names: Names, result: Result, after: State, active: Validity | None) -> dict[str, str]:
    """Return the fields of an event, which are also the environment of a hook."""
    expected = "not needed" if result.is_success else "the next run of the timer"
    return {
        "TEDGE_CLOUD": names.cloud or "c8y",
        "TEDGE_PROFILE": names.profile,
        "TEDGE_DEVICE_ID": (active.device_id if active else "") or NAMELESS,
        "TEDGE_INSTANCE": names.words,
        "CERT_SERIAL": active.serial if active else UNKNOWN,
        "CERT_NOT_AFTER": iso_utc(active.not_after_s) if active else UNKNOWN,
        "RENEWAL_STEP": result.step,
        "RENEWAL_RESULT": result.event.name,
        "RENEWAL_REASON": result.reason,
        "RENEWAL_UNIT": names.service,
        "NEXT_ATTEMPT": iso_utc(after.next_attempt_s) if after.next_attempt_s else expected,
    }


def _send(config: Config, result: Result, fields: dict[str, str]) -> None:
    if config.is_of_system:
        # Configurations elsewhere are trials; the journal is about this device.
        events.send(result.event, fields)


def _keep_hooks(config: Config, result: Result, fields: dict[str, str], instance: Instance | None = None) -> None:
    """Let the administrator's programs run when the locks are free; a fault that lasts runs them once a day."""
    if not config.is_of_system or result.event in _WITHOUT_HOOKS:
        return
    from tedge_cert.steps import hooks

    paths = {"CERT_PATH": str(instance.certificate), "KEY_PATH": str(instance.key_file)} if instance else {}
    facts = {name: value for name, value in fields.items() if value not in (NAMELESS, UNKNOWN)}
    kind = hooks.RENEWED if result.is_success else hooks.FAILED
    afterwards.do(lambda: hooks.run(kind, {**facts, **paths}))
