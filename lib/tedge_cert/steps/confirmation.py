# SPDX-License-Identifier: Apache-2.0
"""Confirm a certificate after its promotion: the bridge comes back with it, or the previous one is restored.

Times are monotonic seconds. Every path ends with a certificate that the tenant accepts, or with both files on disk.
"""

import time
from dataclasses import dataclass, replace
from typing import NoReturn

from tedge_cert import cures, journal
from tedge_cert.bridge.health import Bridge
from tedge_cert.bridge.kinds import reopen
from tedge_cert.device import rotation
from tedge_cert.device.connections import Tenant
from tedge_cert.device.instance import Instance
from tedge_cert.errors import CertificateError, ExpiredError, NoAnswerError, RolledBackError, UnreadableError
from tedge_cert.hourly.validity import EXPIRED
from tedge_cert.steps import rejection
from tedge_cert.steps.switch import Switch
from tedge_cert.tenant import proof, smartrest
from tedge_cert.tenant.eviction import evict_bridge
from tedge_cert.tenant.own_connection import Verdict
from tedge_cert.times import rfc2822
from tedge_cert.x509 import certificate, keys

# Longer than the longest pause of the bridge (restart_timeout 1 30).
BRIDGE_WAIT_S = 60.0
# How long the broker may take to tell that the bridge fell.
FALL_S = 1.0


@dataclass(frozen=True)
class Confirmation:
    """A switch whose certificate was promoted and has still to be confirmed."""

    instance: Instance
    tenant: Tenant
    switch: Switch
    bridge: Bridge | None
    # False while other instances that share the certificate have still to confirm it.
    is_last: bool = True

    def after_promotion(self, was_up: bool, proof_began_s: float, renamed_s: float) -> None:
        """Confirm what this run promoted; raises RolledBackError or NoAnswerError."""
        if self.bridge is None or not was_up:
            self._by_own_connection("there is no bridge to wait for")
            return
        self.bridge.wait_for_fall(proof_began_s, FALL_S)
        fell_s = self.bridge.fell_at_s(proof_began_s)
        if fell_s is not None and renamed_s < (reads_s := self.bridge.reads_again_s(fell_s)):
            self.bridge.wait_for_return(fell_s, BRIDGE_WAIT_S)
            returned_s = self.bridge.returned_at_s(fell_s)
            # One that is back sooner pauses in another way, and may have read the certificate before the rename.
            if returned_s is None or returned_s >= reads_s:
                self._by_bridge(self.bridge, returned_s is not None)
                return
        journal.info("the bridge may have reconnected with the old certificate: it is made to connect once more")
        # While it is still connecting with the old one, it cannot be pushed out.
        returned = self.bridge.wait_until_up(BRIDGE_WAIT_S) and self._comes_back(self.bridge, time.monotonic())
        self._by_bridge(self.bridge, returned)

    def after_token(self) -> None:
        """Confirm what was proved by a token and promoted: the bridge is pushed out once, by the final proof."""
        if self.bridge is None or not self.bridge.is_up:
            self._by_own_connection("there is no bridge to wait for")
        else:
            self._push_out(self.bridge)

    def resume(self) -> None:
        """Finish or undo what an interrupted run left; raises RolledBackError or NoAnswerError."""
        journal.info(f"an unfinished switch was found: {self.switch.previous} exists")
        self._check_active()
        self._resume()

    def reconnect(self) -> None:
        """Let the bridge reconnect with the certificate that is active now, without waiting for it."""
        if self.bridge is not None and self.bridge.is_up:
            evict_bridge(self.tenant, self.bridge)

    def _resume(self) -> None:
        if self.bridge is None:
            self._by_own_connection("there is no bridge or no broker")
        elif self.bridge.is_up:
            self._push_out(self.bridge)
        else:
            self._by_bridge(self.bridge, self.bridge.wait_until_up(BRIDGE_WAIT_S))

    def _push_out(self, bridge: Bridge) -> None:
        """Prove the active certificate by MQTT, which makes the bridge reconnect with it."""
        began_s = time.monotonic()
        verdict = self._ask()
        if verdict.refused:
            self._undo(verdict.reason)
        self._by_bridge(bridge, bridge.wait_for_return(began_s, BRIDGE_WAIT_S))

    def _by_bridge(self, bridge: Bridge, returned: bool) -> None:
        """Confirm if the bridge came back and carries a token; otherwise a connection of our own decides."""
        if returned:
            try:
                smartrest.token_through(bridge)
            except (NoAnswerError, OSError) as error:
                journal.warning(f"the bridge is back, but {error}")
                self._by_own_connection("the bridge carries no token")
            else:
                self._confirm("the bridge is connected with it")
            return
        if bridge.is_lost:
            journal.info("the local broker closed the connection: the bridge is looked for again")
            self._look_again(bridge)
            return
        asked_s = time.monotonic()
        verdict = self._ask()
        # The last news of the bridge may be old: only a return proves that it is connected.
        if verdict.accepted and bridge.wait_for_return(asked_s, bridge.settle_s):
            self._confirm("the bridge is connected with it")
        elif verdict.accepted:
            self._undo_and_see(bridge, f"{verdict.reason}, but the bridge stays away")
        else:
            self._undo(verdict.reason)

    def _look_again(self, lost: Bridge) -> None:
        """Resume with a new connection to the broker, which was restarted: what the bridge did meanwhile is unknown."""
        fresh = reopen(lost)
        try:
            replace(self, bridge=fresh).resume()
        finally:
            if fresh is not None:
                fresh.close()

    def _by_own_connection(self, why: str) -> None:
        journal.info(f"{why}: a connection of our own decides")
        verdict = self._ask()
        if verdict.refused:
            self._undo(verdict.reason)
        self._confirm(verdict.reason)

    def _ask(self) -> Verdict:
        """Return what the tenant says of the active certificate; without an answer both files stay."""
        verdict = proof.prove(self.tenant, self.switch.certificate, self.bridge)
        if not (verdict.accepted or verdict.refused):
            self._leave(verdict.reason)
        return verdict

    def _confirm(self, how: str) -> None:
        if self.is_last:
            rotation.remove_former(self.instance)
            self.switch.confirm()
        active = certificate.load(self.switch.certificate).validity
        journal.info(f"confirmed: {how}; serial {active.serial}, valid until {rfc2822(active.not_after_s)}")

    def _leave(self, reason: str) -> NoReturn:
        raise NoAnswerError(
            f"{reason}; {self.switch.certificate} and {self.switch.previous} both stay, the next run decides"
        )

    def _undo(self, reason: str) -> NoReturn:
        """Restore previous, because the new certificate is refused, and wait for the bridge."""
        flaw = self.switch.flaw_of_previous()
        if flaw:
            raise CertificateError(f"certificate unusable: {reason}; and there is no way back: {flaw}")
        began_s = time.monotonic()
        self.switch.put_back()
        if self.bridge is not None and not self._comes_back(self.bridge, began_s):
            journal.warning("the bridge has not come back yet with the previous certificate either")
        raise RolledBackError(f"{reason}; the previous certificate is active again: {self.switch.certificate}")

    def _undo_and_see(self, bridge: Bridge, reason: str) -> None:
        """Restore previous, because the bridge stays away with the new one; keep the new one if that does not help."""
        if self.switch.flaw_of_previous():
            journal.warning(f"{reason}: see {bridge.journal}; {self.switch.previous} cannot be put back")
            self._confirm("the tenant accepts it over a connection of our own")
            return
        new = self.switch.certificate.read_bytes()
        key = self.switch.key.read_bytes() if self.switch.changes_key else None
        began_s = time.monotonic()
        self.switch.put_back(keep=new)
        if self._comes_back(bridge, began_s):
            rejection.record(self.instance, new)
            raise RolledBackError(
                f"{reason}; it is back with the previous certificate, which is active again: {self.switch.certificate}"
            )
        self.switch.promote(self.switch.prepare(new, key), new)
        self.reconnect()
        journal.warning(f"{reason} with the previous certificate too: see {bridge.journal}")
        self._confirm("the tenant accepts it over a connection of our own")

    def _comes_back(self, bridge: Bridge, since_s: float) -> bool:
        self.reconnect()
        return bridge.wait_for_return(since_s, BRIDGE_WAIT_S)

    def _check_active(self) -> None:
        """Restore previous if the certificate is broken; raises ExpiredError for one that no tenant accepts."""
        try:
            active = certificate.load(self.switch.certificate)
            keys.load_for(self.instance.key, active, self.switch.certificate)
        except UnreadableError as error:
            # It may be the good one of the two, so neither goes.
            self._leave(str(error))
        except CertificateError as error:
            self._undo(str(error))
        if active.validity.state(time.time(), 0) == EXPIRED:
            raise ExpiredError(
                f"{self.switch.certificate} has expired before it was confirmed; "
                f"{cures.once_expired(cures.register_again(active.validity.device_id))}"
            )
