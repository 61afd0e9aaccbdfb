# SPDX-License-Identifier: Apache-2.0
"""Step 3: prove the candidate, promote it and confirm it, or keep the current certificate."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from tedge_cert import cures, journal, systemd, terminal
from tedge_cert.authority import answer_checks
from tedge_cert.authority.answer_checks import UnfitCertificateError
from tedge_cert.bridge.health import Bridge
from tedge_cert.bridge.kinds import open_bridge, reopen
from tedge_cert.deadline import Deadline
from tedge_cert.device import profiles, rotation
from tedge_cert.device.connection_settings import connected_broker, tenant_of
from tedge_cert.device.connections import LocalBroker, Tenant
from tedge_cert.device.instance import Instance, identity
from tedge_cert.durations import format_duration
from tedge_cert.errors import (
    CandidateRejectedError,
    CertificateError,
    ClockError,
    NoAnswerError,
    NotTrustedYetError,
    TedgeCertError,
)
from tedge_cert.events import CONFIRMED_LATE, NOT_NEEDED, RENEWED
from tedge_cert.net.tls import UNKNOWN_AUTHORITY
from tedge_cert.steps import due, outcome, rejection
from tedge_cert.steps.confirmation import Confirmation
from tedge_cert.steps.mapper_confirmation import MapperConfirmation
from tedge_cert.steps.switch import Prepared, Switch
from tedge_cert.tenant import device_token
from tedge_cert.tenant.own_connection import Verdict
from tedge_cert.tenant.proof import prove
from tedge_cert.terminal import waiting
from tedge_cert.x509 import certificate, clock, keys
from tedge_cert.x509.certificate import Certificate

# An operation of the device is waited for so long, which leaves the unit the time to confirm (TimeoutStartSec=), and
# not at all when the certificate ends within a day.
IDLE_WAIT_S = 300.0
URGENT_S = 86_400


@dataclass(frozen=True)
class Candidate:
    """A certificate that may become the active one; ``key`` is the content of its key, if it is not the active one."""

    certificate: Certificate
    key: bytes | None = None


@dataclass
class _Party:
    """An instance whose certificate is switched, with its tenant, its bridge, and the bridge's state before."""

    instance: Instance
    tenant: Tenant
    broker: LocalBroker | None
    bridge: Bridge | None
    was_up: bool = False
    began_s: float = 0.0
    by_token: bool = False

    def confirmation(self, switch: Switch, is_last: bool = True) -> Confirmation:
        """Return how this instance confirms the switch: by the kind of its bridge."""
        kind = Confirmation if self.broker is None or self.broker.mapper is None else MapperConfirmation
        return kind(self.instance, self.tenant, switch, self.bridge, is_last)

    def wait_until_idle(self) -> None:
        """Wait until the certificate can be switched; raises NoAnswerError if nothing could confirm that."""
        left_s = certificate.load(self.instance.certificate).validity.left_s(time.time())
        deadline = Deadline(IDLE_WAIT_S if left_s > URGENT_S else 0)
        while self.bridge is not None:
            if not deadline.passed():
                self.bridge.wait_until_idle(deadline.left_s())
            if not self.bridge.is_lost:
                return
            self.bridge.close()
            self.bridge = reopen(self.bridge)
        if self.broker is not None and self.broker.mapper is not None:
            raise NoAnswerError(
                f"no broker at {self.broker.host}:{self.broker.port}, through which {self.broker.mapper.unit} is "
                f"watched: see `systemctl status mosquitto`; {self.instance.candidate} is kept for the next run"
            )


def finish(instance: Instance, switch: Switch) -> None:
    """Finish or undo the switch that an interrupted run left; the caller holds the lock."""
    parties = _parties_of(instance, _identity_in_switch(instance))
    try:
        _confirm(parties, switch, lambda _, confirmation: confirmation.resume())
        outcome.succeeded([each.instance for each in parties], CONFIRMED_LATE)
    finally:
        _dismiss(parties)
        rotation.remove_spare(instance)


def _identity_in_switch(instance: Instance) -> str:
    """Return the common name of the certificate, or of previous where the certificate cannot be read.

    It is empty where neither can be read; then there is no way back, and no connection is made.
    """
    for path in (instance.certificate, instance.previous):
        try:
            name = certificate.load(path).validity.device_id
        except CertificateError:
            continue
        if name:
            return name
    return ""


def check_candidate(instance: Instance, current: Certificate, found: bytes, device_id: str, by_unit: bool) -> Candidate:
    """Return the certificate in the bytes of a candidate, with its key if it has one of its own.

    Its public key decides which key that is. Raises UnfitCertificateError, also in the unit for a candidate of the
    present key where each renewal shall have a new one; ClockError; or ConfigurationError if the key cannot change.
    """
    present = keys.public_key(keys.load_for(instance.key, current, instance.certificate))
    waiting = rotation.candidate_key(instance)
    new, key = None, None
    if waiting is not None:
        with suppress(UnfitCertificateError):
            new, key = answer_checks.parse_candidate(found, waiting.public_key), waiting.content
    if new is None:
        new = answer_checks.parse_candidate(found, present)
        if by_unit and instance.rotates_key:
            raise UnfitCertificateError(f"it is for the present key, and {rotation.setting(instance)} wants a new one")
    else:
        _check_key(instance)
    try:
        answer_checks.check(new, new.public_key, device_id, current, by_unit=by_unit)
    except ClockError as error:
        raise ClockError(f"{error}; {instance.candidate} is kept") from error
    return Candidate(new, key)


def _check_key(instance: Instance) -> None:
    """Check that the key can change; where no setting wants that any more, such a candidate can never serve."""
    try:
        rotation.check(instance)
    except TedgeCertError as error:
        if instance.rotates_key:
            raise
        raise UnfitCertificateError(str(error)) from error


def promote_candidate(instance: Instance, switch: Switch) -> None:
    """Check and prove the candidate, promote it and confirm it; the caller holds the lock.

    Raises CandidateRejectedError, with its digest recorded for the clean-up, NoAnswerError or NotTrustedYetError.
    """
    current = certificate.load(switch.certificate)
    device_id = identity(instance)
    found = b""
    try:
        found = answer_checks.read_candidate(switch.candidate)
        new = check_candidate(instance, current, found, device_id, bool(systemd.unit_run()))
        _promote(instance, switch, found, new, device_id)
    except UnfitCertificateError as error:
        rejection.record(instance, found)
        raise CandidateRejectedError(f"new certificate {switch.candidate} rejected: {error}") from error


def _promote(instance: Instance, switch: Switch, found: bytes, new: Candidate, device_id: str) -> None:
    prepared = switch.prepare(new.certificate.pem, new.key)
    parties: list[_Party] = []
    try:
        parties = _parties_of(instance, device_id)
        for party in parties:
            party.wait_until_idle()
        title = f"Validating new certificate: {switch.candidate}..."
        for party in parties:
            with waiting(f"Proving the new certificate to {party.tenant.host}"):
                verdict = _ask(party, prepared)
            if not verdict.accepted:
                journal.info(f"{title} {terminal.mark(False, sys.stderr)}")
                raise _not_accepted(party, switch, verdict, found, new.certificate)
        renamed_s = switch.promote(prepared, found)
        journal.info(f"{title} {terminal.mark(True, sys.stderr)}")
        journal.info(f"proof: {verdict.reason}")
        journal.info(f"The new certificate is now the active certificate {switch.certificate}")
        if new.key is not None:
            journal.info(f"its new private key is now the active key {switch.key}")
        _confirm(parties, switch, lambda party, confirmation: _after(party, confirmation, renamed_s))
        outcome.succeeded([each.instance for each in parties], RENEWED)
    finally:
        prepared.discard()
        _dismiss(parties)
        rotation.remove_spare(instance)


def _ask(party: _Party, prepared: Prepared) -> Verdict:
    party.was_up = party.bridge is not None and party.bridge.is_up
    party.began_s = time.monotonic()
    by_token = device_token.prove(party.tenant, prepared.fresh, prepared.fresh_key)
    party.by_token = by_token is not None
    return by_token or prove(party.tenant, prepared.fresh, party.bridge, prepared.fresh_key)


def _after(party: _Party, confirmation: Confirmation, renamed_s: float) -> None:
    if party.by_token:
        confirmation.after_token()
    else:
        confirmation.after_promotion(party.was_up, party.began_s, renamed_s)


def _parties_of(instance: Instance, device_id: str) -> list[_Party]:
    return [_party_of(each, device_id) for each in profiles.sharing(instance)]


def _party_of(instance: Instance, device_id: str) -> _Party:
    tenant = tenant_of(instance, device_id)
    # A bridge with user and password says nothing of a certificate.
    broker = connected_broker(instance) if tenant.credentials_path is None else None
    return _Party(instance, tenant, broker, open_bridge(broker))


def _confirm(parties: list[_Party], switch: Switch, confirm: Callable[[_Party, Confirmation], None]) -> None:
    """Let each party confirm; if one refuses, the bridges of the others reconnect with the restored certificate."""
    for number, party in enumerate(parties, 1):
        try:
            with waiting("Waiting for the bridge to come back with it"):
                confirm(party, party.confirmation(switch, number == len(parties)))
        except CandidateRejectedError:
            for other in parties:
                if other is not party and other.bridge is not None:
                    other.confirmation(switch).reconnect()
            raise


def _dismiss(parties: list[_Party]) -> None:
    for party in parties:
        if party.bridge is not None:
            party.bridge.close()


def _not_accepted(party: _Party, switch: Switch, verdict: Verdict, found: bytes, new: Certificate) -> TedgeCertError:
    """Return the error of a candidate that the tenant did not take; a rejection is recorded for the clean-up."""
    instance = party.instance
    if not verdict.refused:
        return NoAnswerError(f"{verdict.reason}; {instance.candidate} is kept for the next run")
    stays = f"the current certificate stays in use: {instance.certificate}"
    if new.is_self_signed:
        return NotTrustedYetError(
            f"{instance.candidate} is self-signed and not yet uploaded; `tedge cert upload {instance.words}` makes the "
            f"tenant trust it, then the next run takes it into use; {stays} ({verdict.reason})"
        )
    if verdict.alert in UNKNOWN_AUTHORITY and not new.has_issuer_of(certificate.load(switch.certificate)):
        return NotTrustedYetError(
            f"{instance.candidate} is issued by {new.issuer}, which {party.tenant.mqtt[0]} does not trust yet: "
            f"{cures.trust(new.issuer)}, then the next run takes the new certificate into use; {stays} "
            f"({verdict.reason})"
        )
    rejection.record(instance, found)
    return CandidateRejectedError(f"new certificate {instance.candidate} rejected: {verdict.reason}; {stays}")


def expect_not_due(instance: Instance) -> None:
    """Report that there is nothing to verify; raises TedgeCertError if the certificate is due."""
    current = certificate.load(instance.certificate)
    clock.check_clock(current, instance.certificate)
    now_s = time.time()
    left = format_duration(current.validity.left_s(now_s), 2)
    if due.is_due(instance, current.validity, now_s):
        raise TedgeCertError(
            f"{instance.certificate} is due for renewal ({left} left), and there is no candidate at "
            f"{instance.candidate}: the renew step brought none ({cures.command('cert renew')} asks the tenant for one)"
        )
    reason = f"nothing to verify: no candidate at {instance.candidate}, and the certificate is valid for {left}"
    journal.info(reason)
    outcome.succeeded([instance], NOT_NEEDED, reason)
