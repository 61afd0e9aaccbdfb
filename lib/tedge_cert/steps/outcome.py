# SPDX-License-Identifier: Apache-2.0
"""The one place where it is told how a run ended: a plain line, the state, an event, the fleet, in this order.

Whatever goes wrong here is a warning at most: no certificate is lost because its story could not be told.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from tedge_cert import events, journal, notice
from tedge_cert.device import state
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance
from tedge_cert.device.state import State
from tedge_cert.errors import CertificateError, TedgeCertError
from tedge_cert.events import Event
from tedge_cert.hourly import schedule
from tedge_cert.hourly.validity import Validity, format_duration, read_validity
from tedge_cert.steps.result import CONDITION, VERIFY, Result, state_after

UNKNOWN = "unknown"
NAMELESS = "this device"


@contextmanager
def reported(
    step: str, instance: Instance, sharing: Callable[[Instance], list[Instance]] | None = None
) -> Iterator[None]:
    """Tell what goes wrong in the block, for all that share the certificate; to be used under the lock."""
    try:
        yield
    except TedgeCertError as error:
        journal.error(str(error))
        error.is_told = True
        for each in _concerned(instance, sharing):
            leave(each, Result.of(step, error))
        raise


def _concerned(instance: Instance, sharing: Callable[[Instance], list[Instance]] | None) -> list[Instance]:
    try:
        return sharing(instance) if sharing else [instance]
    except TedgeCertError as error:
        journal.debug(f"who shares the certificate is not known: {error}")
        return [instance]


def succeeded(instances: list[Instance], event: Event, reason: str = "confirmed: it is in use") -> None:
    """The certificate was confirmed, or none is needed any more; a threshold that makes it due again is told too."""
    for instance in instances:
        after = leave(instance, Result(VERIFY, event, reason))
        if after.guarded and event is not events.NOT_NEEDED:
            _warn_of_threshold(instance, after.not_after_s - after.not_before_s)


def _warn_of_threshold(instance: Instance, lifetime_s: int) -> None:
    key, third = "certificate.validity.minimum_duration", format_duration(lifetime_s // schedule.GUARDED_PART, 1)
    reason = (
        f"{key} ({instance.config.need(key)}) is no shorter than what certificates are granted "
        f"({format_duration(lifetime_s, 2)}): the new one is left alone until a third of that is left; "
        f"`tedge config set {key} {third}` makes this the threshold"
    )
    journal.warning(reason)
    leave(instance, Result(VERIFY, events.THRESHOLD_TOO_LONG, reason))


def judged(instance: Instance, error: Exception) -> None:
    """What the condition ended with. It takes no lock: while another run is at work, that one's result counts.

    A broken configuration does not tell where the state of the instance is, or whether there is such an instance.
    """
    result = Result.of(CONDITION, error)
    if result.event is events.CONFIGURATION_BROKEN:
        _send(instance, result, State(), _active(instance))
        return
    try:
        with custody(instance, wait_s=0):
            leave(instance, result)
    except TedgeCertError as busy:
        journal.debug(f"not recorded: {busy}")
        _send(instance, result, State(), _active(instance))


def leave(instance: Instance, result: Result) -> State:
    """Record how a step ended, and send its event; the plain line has been written, and the lock is held."""
    active = _active(instance)
    before = state.load(instance.state_file)
    minimum_s = _threshold(instance) if result.is_success else 0
    settings = state.settings_of(instance.config)
    after = state_after(before, result, settings, active, minimum_s, int(time.time()))
    if after != before:
        state.save(instance.state_file, after if result.step == CONDITION else _with_key(instance, after))
    _send(instance, result, after, active)
    notice.status(result.event.headline)
    # The condition runs without the libraries that this takes; what it finds, the next attempt tells.
    if after != before and result.step != CONDITION and instance.config.is_of_system:
        from tedge_cert.tenant import alarm

        alarm.tell(instance)
    return after


def _threshold(instance: Instance) -> int:
    try:
        return instance.minimum_s
    except TedgeCertError:
        # Whoever reads it next says what is wrong with it.
        return 0


def _active(instance: Instance) -> Validity | None:
    try:
        return read_validity(str(instance.certificate))
    except (OSError, ValueError, TedgeCertError):
        return None


def _with_key(instance: Instance, after: State) -> State:
    """The state with whether the key is that of the certificate, which not everybody may look at later."""
    from tedge_cert.x509 import certificate, keys

    try:
        keys.load_for(instance.key, certificate.load(instance.certificate), instance.certificate)
    except CertificateError:
        fits = False
    else:
        fits = True
    return replace(after, key_fits=fits, looked_at_s=after.at_s)


def _send(instance: Instance, result: Result, after: State, active: Validity | None) -> None:
    if not instance.config.is_of_system:
        # The journal is about this device, not about a trial elsewhere.
        return
    expected = "not needed" if result.is_success else "the next run of the timer"
    events.send(
        result.event,
        {
            "TEDGE_CLOUD": instance.cloud or "c8y",
            "TEDGE_PROFILE": instance.config.profile,
            "TEDGE_DEVICE_ID": (active.common_name if active else "") or NAMELESS,
            "TEDGE_INSTANCE": instance.words,
            "CERT_SERIAL": active.serial if active else UNKNOWN,
            "CERT_NOT_AFTER": _iso(active.not_after_s) if active else UNKNOWN,
            "RENEWAL_STEP": result.step,
            "RENEWAL_RESULT": result.event.name,
            "RENEWAL_REASON": result.reason,
            "RENEWAL_UNIT": instance.timer.replace(".timer", ".service"),
            "NEXT_ATTEMPT": _iso(after.next_attempt_s) if after.next_attempt_s else expected,
        },
    )


def _iso(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
