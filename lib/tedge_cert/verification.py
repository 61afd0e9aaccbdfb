# SPDX-License-Identifier: Apache-2.0
"""Step 3: prove the candidate, promote it, see it confirmed, or keep what was there."""

import time

from tedge_cert import access_token, certificate, checks, files, journal, keys, rejection
from tedge_cert.bridge import Bridge, open_bridge
from tedge_cert.certificate import Certificate
from tedge_cert.checks import UnfitCertificateError
from tedge_cert.confirmation import Confirmation
from tedge_cert.errors import CandidateRejectedError, ClockError, NoAnswerError, TedgeCertError
from tedge_cert.instance import Instance
from tedge_cert.lock import locked
from tedge_cert.proof import prove
from tedge_cert.switch import Switch
from tedge_cert.validity import VALID, format_duration


def verify(instance: Instance) -> None:
    """Finish or undo an unfinished switch; else check and prove the candidate, promote it, see it confirmed.

    Returns when the certificate is confirmed, or when there is nothing to do and it is not due. Raises
    CandidateRejectedError when the former certificate stays in use, NoAnswerError when there was no verdict.
    """
    with locked(instance.certificate, instance.run_directory):
        switch = Switch.of(instance)
        rejection.forget(instance)
        files.remove_stale_temporaries(instance.certificate)
        switch.settle()
        if switch.is_unfinished:
            finish(instance, switch)
        elif switch.candidate.is_symlink() or switch.candidate.exists():
            promote_candidate(instance, switch)
        else:
            _nothing_to_verify(instance)


def finish(instance: Instance, switch: Switch) -> None:
    """Finish or undo the switch that an interrupted run left; to be called under the lock."""
    bridge = open_bridge(instance)
    try:
        Confirmation(instance, switch, bridge).resume()
    finally:
        if bridge is not None:
            bridge.close()


def check_candidate(instance: Instance, current: Certificate, found: bytes) -> Certificate:
    """The certificate in the bytes of a candidate, known to pass the checks.

    Raises UnfitCertificateError or ClockError.
    """
    public_key = keys.public_key(keys.load_for(instance.key, current, instance.certificate))
    new = checks.parse_candidate(found, public_key)
    try:
        checks.check(new, public_key, instance.device_id, current)
    except ClockError as error:
        raise ClockError(f"{error}; {instance.candidate} is kept") from error
    return new


def promote_candidate(instance: Instance, switch: Switch) -> None:
    """Check and prove the candidate, promote it, see it confirmed; to be called under the lock.

    Raises CandidateRejectedError, with its digest recorded for the clean-up, or NoAnswerError.
    """
    current = certificate.load(switch.certificate)
    found = b""
    try:
        found = checks.read_candidate(switch.candidate)
        new = check_candidate(instance, current, found)
        _promote(instance, switch, found, new)
    except UnfitCertificateError as error:
        rejection.record(instance, found)
        raise CandidateRejectedError(f"new certificate {switch.candidate} rejected: {error}") from error


def _promote(instance: Instance, switch: Switch, found: bytes, new: Certificate) -> None:
    prepared = switch.prepare(new.pem)
    bridge: Bridge | None = None
    try:
        bridge = open_bridge(instance)
        title = f"Validating new certificate: {switch.candidate}..."
        by_token = access_token.prove(instance, prepared.fresh)
        was_up = bridge is not None and bridge.is_up
        began_s = time.monotonic()
        verdict = by_token or prove(instance, prepared.fresh, bridge)
        if verdict.refused:
            journal.info(f"{title} ✗")
            rejection.record(instance, found)
            raise CandidateRejectedError(
                f"new certificate {switch.candidate} rejected: {verdict.reason}; "
                f"the current certificate stays in use: {switch.certificate}"
            )
        if not verdict.accepted:
            journal.info(f"{title} ✗")
            raise NoAnswerError(f"{verdict.reason}; {switch.candidate} is kept for the next run")
        renamed_s = switch.promote(prepared, found)
        journal.info(f"{title} ✓")
        journal.info(f"proof: {verdict.reason}")
        journal.info(f"The new certificate is now the active certificate {switch.certificate}")
        confirmation = Confirmation(instance, switch, bridge)
        if by_token:
            confirmation.after_token()
        else:
            confirmation.after_promotion(was_up, began_s, renamed_s)
    finally:
        prepared.discard()
        if bridge is not None:
            bridge.close()


def _nothing_to_verify(instance: Instance) -> None:
    current = certificate.load(instance.certificate)
    now_s = time.time()
    left = format_duration(current.validity.left_s(now_s), 2)
    if current.validity.state(now_s, instance.minimum_s) != VALID:
        raise TedgeCertError(
            f"{instance.certificate} is due for renewal ({left} left), and there is no candidate at "
            f"{instance.candidate}: the renew step brought none (`tedge cert renew` asks the tenant for one)"
        )
    journal.info(f"nothing to verify: no candidate at {instance.candidate}, and the certificate is valid for {left}")
