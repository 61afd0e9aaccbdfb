# SPDX-License-Identifier: Apache-2.0
"""Whether it is a certificate's turn: what stands between one that is due by its dates, and a renewal."""

import os
import time

from tedge_cert import journal
from tedge_cert.config.settings import Config, fingerprint
from tedge_cert.device import state
from tedge_cert.device.instance import Instance, Names, state_file_of, threshold_s
from tedge_cert.device.state import State
from tedge_cert.durations import format_duration
from tedge_cert.errors import ExpiredError, HeldBackError
from tedge_cert.hourly import schedule
from tedge_cert.hourly.validity import EXPIRED, VALID, Validity
from tedge_cert.steps import back_off


def is_due(instance: Instance, validity: Validity, now_s: float) -> bool:
    """Whether the certificate is due by its dates, the spread and the guard: what renew and verify look at again."""
    minimum_s = threshold_s(instance.config)
    spread = schedule.spread_s(os.environ.get(schedule.SPREAD, ""), minimum_s)
    lead = schedule.lead_of(validity, minimum_s, spread)
    return validity.state(now_s, lead) != VALID and not _is_guarded(state.load(instance.state_file), validity, now_s)


def go_on(settings: Config, cloud: str, path: str, validity: Validity, now_s: float, threshold: str) -> bool:
    """The rest of the condition's order for a certificate that is due: True to renew, False to leave it alone.

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
            f"{path} expired {left} ago and cannot renew itself any more; get a new one-time password for the "
            f"device, then run `tedge cert download {names.words}`"
        )
    if kept.settings == fingerprint(settings) and back_off.is_held_back(
        kept.next_attempt_s, now_s, validity.left_s(now_s)
    ):
        until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(kept.next_attempt_s))
        raise HeldBackError(
            f"{path} is due ({left} left), but the tenant is not asked before {until}: attempt {kept.attempts} ended "
            f"with {kept.reason or kept.result}; `tedge cert renew {names.words}` asks at once"
        )
    journal.info(f"{path} is valid for {left}, renewing below {threshold}: renewing")
    return True


def _is_guarded(kept: State, validity: Validity, now_s: float) -> bool:
    """Whether this certificate came out of a renewal that made it due at once, and has too much of its life left."""
    ours = kept.guarded == validity.not_after_s
    return ours and schedule.is_guarded(validity.lifetime_s, validity.left_s(now_s))
