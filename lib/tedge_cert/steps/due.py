# SPDX-License-Identifier: Apache-2.0
"""Decide whether a certificate that is due may be renewed now: loop guard, candidate, expiry, back-off."""

import os

from tedge_cert import cures, journal
from tedge_cert.config.settings import Config, fingerprint
from tedge_cert.device import state
from tedge_cert.device.instance import Instance, Names, state_file_of, threshold_s
from tedge_cert.device.state import State
from tedge_cert.durations import format_duration
from tedge_cert.errors import ExpiredError, HeldBackError
from tedge_cert.hourly import schedule
from tedge_cert.hourly.validity import EXPIRED, VALID, Validity
from tedge_cert.steps import back_off
from tedge_cert.times import minute_utc


def is_due(instance: Instance, validity: Validity, now_s: float) -> bool:
    """Return whether the certificate is due by dates, spread and guard; renew and verify check this again."""
    minimum_s = threshold_s(instance.config, validity.lifetime_s)
    spread = schedule.spread_s(os.environ.get(schedule.SPREAD, ""), minimum_s)
    lead = schedule.lead_of(validity, minimum_s, spread)
    return validity.state(now_s, lead) != VALID and not _is_guarded(state.load(instance.state_file), validity, now_s)


def go_on(settings: Config, cloud: str, path: str, validity: Validity, now_s: float, threshold: str) -> bool:
    """Decide the rest of the condition for a certificate that is due: True to renew, False to leave it alone.

    Raises ExpiredError or HeldBackError.
    """
    names = Names(cloud, settings.profile)
    kept = state.load(state_file_of(settings, names))
    left = format_duration(abs(validity.left_s(now_s)), 2)
    if _is_guarded(kept, validity, now_s):
        part = format_duration(validity.lifetime_s // schedule.GUARDED_PART, 2)
        journal.info(
            f"{path} is valid for {left}, renewing below {part}: nothing to do (a third of its life, because "
            "certificate.validity.minimum_duration is no shorter than that)"
        )
        return False
    if os.path.lexists(path + ".new"):
        journal.info(f"{path} is due, and a candidate is there: {path}.new")
        return True
    if validity.state(now_s, 0) == EXPIRED:
        raise ExpiredError(
            f"{path} expired {left} ago and can no longer be renewed; "
            f"{cures.once_expired(_way_back(settings, validity.device_id))}"
        )
    if kept.settings == fingerprint(settings) and back_off.is_held_back(
        kept.next_attempt_s, now_s, validity.left_s(now_s)
    ):
        until = minute_utc(kept.next_attempt_s)
        raise HeldBackError(
            f"{path} is due ({left} left), but the authority is not asked before {until}: attempt {kept.attempts} "
            f"ended with {kept.reason or kept.result}; {cures.command('cert renew')} asks at once"
        )
    journal.info(f"{path} is valid for {left}, renewing below {threshold}: renewing")
    return True


def _way_back(settings: Config, device_id: str) -> str:
    """Return how an expired device gets a new certificate."""
    if factory := _factory_certificate(settings):
        return (
            f"the factory certificate {factory} gets a new one: {cures.register(device_id, '--ca', 'est')}, or the "
            "unit tedge-cert-download@c8y.service by itself where it has Environment=REGISTER_WITH_CA=est"
        )
    return f"get a new one-time password for the device, then run {cures.register(device_id)}"


def _factory_certificate(settings: Config) -> str:
    """Return the factory certificate with which the operator's own authority registers the device; empty without."""
    if settings.get("c8y.est.url") is None:
        return ""
    path = settings.need("c8y.est.bootstrap.cert_path")
    return path if os.path.lexists(path) else ""


def _is_guarded(kept: State, validity: Validity, now_s: float) -> bool:
    """Return whether a renewal made this certificate due at once, and too much of its life is left for another."""
    ours = kept.guarded == validity.not_after_s
    return ours and schedule.is_guarded(validity.lifetime_s, validity.left_s(now_s))
