# SPDX-License-Identifier: Apache-2.0
"""The state after the end of a step."""

from dataclasses import replace

import pytest

from tedge_cert import errors, events
from tedge_cert.device.state import State
from tedge_cert.errors import TedgeCertError
from tedge_cert.events import Event
from tedge_cert.hourly.schedule import DAY_S, HOUR_S
from tedge_cert.hourly.validity import Validity
from tedge_cert.steps import back_off
from tedge_cert.steps.outcome import CONDITION, RENEW, VERIFY, Result, state_after

NOW_S = 1_800_000_000
ACTIVE = Validity(NOW_S - 345 * DAY_S, NOW_S + 20 * DAY_S, "1f")
BEFORE = State(result="no-answer", attempts=2, settings="a", next_attempt_s=NOW_S - 5, succeeded_s=7, at_s=NOW_S - 5)
THRESHOLD_S = 30 * DAY_S


def after(result: Result, before: State = BEFORE, active: Validity | None = ACTIVE, settings: str = "a") -> State:
    return state_after(before, result, settings, active, THRESHOLD_S, NOW_S)


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (errors.RolledBackError, events.ROLLED_BACK),
        (errors.CandidateRejectedError, events.CANDIDATE_REJECTED),
        (errors.NotTrustedYetError, events.NOT_TRUSTED_YET),
        (errors.RequestRefusedError, events.REQUEST_REFUSED),
        (errors.NoAnswerError, events.NO_ANSWER),
        (errors.ClockError, events.CLOCK_WRONG),
        (errors.ExpiredError, events.CERTIFICATE_EXPIRED),
        (errors.CertificateError, events.CERTIFICATE_UNUSABLE),
        (errors.ConfigurationError, events.CONFIGURATION_BROKEN),
        (errors.UnknownKeyError, events.CONFIGURATION_BROKEN),
        (errors.HeldBackError, events.HELD_BACK),
        (TedgeCertError, events.STEP_FAILED),
    ],
)
def test_each_kind_of_error_is_an_event(error: type[Exception], event: Event) -> None:
    assert Result.of(RENEW, error("why")) == Result(RENEW, event, "why")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            RecursionError("maximum recursion depth exceeded"),
            "unexpected RecursionError: maximum recursion depth exceeded",
        ),
        (MemoryError(), "unexpected MemoryError"),
        (OSError(28, "No space left on device", "/var/lib/x"), "/var/lib/x: No space left on device"),
        (OSError("why"), "unexpected OSError: why"),
    ],
)
def test_an_unforeseen_error_is_a_failed_step(error: Exception, reason: str) -> None:
    assert Result.of(RENEW, error) == Result(RENEW, events.STEP_FAILED, reason, is_foreseen=False)
    assert after(Result.of(RENEW, error)).next_attempt_s > NOW_S + HOUR_S


@pytest.mark.parametrize("event", [events.REQUEST_REFUSED, events.NO_ANSWER, events.CANDIDATE_REJECTED])
def test_a_failure_makes_the_next_attempt_wait(event: Event) -> None:
    left = after(Result(RENEW, event, "why"))
    assert (left.result, left.step, left.reason, left.at_s) == (event.name, RENEW, "why", NOW_S)
    assert (left.attempts, left.succeeded_s) == (3, 7)
    assert left.next_attempt_s == NOW_S + back_off.pause_s("", 3, ACTIVE.left_s(NOW_S)) > NOW_S + HOUR_S
    assert (left.serial, left.not_before_s, left.not_after_s) == ("1f", ACTIVE.not_before_s, ACTIVE.not_after_s)


def test_retry_after_is_kept_to() -> None:
    error = errors.RequestRefusedError("busy", 503, 5 * HOUR_S)
    left = after(Result.of(RENEW, error))
    assert NOW_S + 5 * HOUR_S < left.next_attempt_s <= NOW_S + 5.5 * HOUR_S + 1


def test_other_settings_reset_the_count() -> None:
    left = after(Result(RENEW, events.NO_ANSWER, "why"), settings="b")
    assert (left.attempts, left.settings) == (1, "b")
    assert left.next_attempt_s == NOW_S + back_off.pause_s("", 1, ACTIVE.left_s(NOW_S))


@pytest.mark.parametrize(
    "event", [events.CERTIFICATE_UNUSABLE, events.CONFIGURATION_BROKEN, events.NOT_TRUSTED_YET, events.CLOCK_WRONG]
)
def test_what_a_person_mends_is_tried_again_at_once(event: Event) -> None:
    left = after(Result(RENEW, event, "why"))
    assert (left.attempts, left.next_attempt_s) == (3, 0)


def test_without_a_certificate_nothing_waits() -> None:
    assert after(Result(VERIFY, events.STEP_FAILED, "why"), active=None).next_attempt_s == 0


@pytest.mark.parametrize("event", [events.RENEWED, events.CONFIRMED_LATE])
def test_success_forgets_the_attempts(event: Event) -> None:
    granted = Validity(NOW_S, NOW_S + 90 * DAY_S, "20")
    left = after(Result(VERIFY, event, "confirmed"), active=granted)
    assert (left.attempts, left.next_attempt_s, left.succeeded_s, left.guarded) == (0, 0, NOW_S, 0)


@pytest.mark.parametrize(("days", "guarded"), [(31, False), (30, True), (1, True)])
def test_a_certificate_that_is_due_at_once_is_guarded(days: int, guarded: bool) -> None:
    granted = Validity(NOW_S - HOUR_S, NOW_S + days * DAY_S, "20")
    left = after(Result(VERIFY, events.RENEWED, "confirmed"), active=granted)
    assert left.guarded == (granted.not_after_s if guarded else 0)


def test_a_shorter_lifetime_ends_the_guard_of_the_previous_one() -> None:
    guarded = replace(BEFORE, guarded=NOW_S + 90 * DAY_S)
    granted = Validity(NOW_S, NOW_S + 60 * DAY_S, "20")
    assert after(Result(VERIFY, events.RENEWED, "confirmed"), guarded, granted).guarded == 0


def test_nothing_needed_is_no_success_but_no_failure_either() -> None:
    left = after(Result(VERIFY, events.NOT_NEEDED, "not due"))
    assert (left.attempts, left.succeeded_s, left.result) == (0, 7, "not-needed")


@pytest.mark.parametrize("event", [events.HELD_BACK, events.THRESHOLD_TOO_LONG])
def test_a_remark_leaves_the_last_result(event: Event) -> None:
    assert after(Result(CONDITION, event, "why")) is BEFORE


def test_the_condition_counts_no_attempt() -> None:
    left = after(Result(CONDITION, events.CERTIFICATE_EXPIRED, "why"))
    assert (left.attempts, left.next_attempt_s, left.result) == (2, NOW_S - 5, "certificate-expired")
    assert (
        state_after(left, Result(CONDITION, events.CERTIFICATE_EXPIRED, "1h later"), "a", ACTIVE, 0, NOW_S + 1) is left
    )


def test_a_clock_that_was_set_back_is_written_down() -> None:
    ahead = replace(BEFORE, result="clock-wrong", at_s=NOW_S + DAY_S)
    assert after(Result(CONDITION, events.CLOCK_WRONG, "why"), ahead).at_s == NOW_S


def test_a_long_story_is_cut() -> None:
    assert len(after(Result(RENEW, events.NO_ANSWER, "x" * 50_000)).reason) == 1_000
