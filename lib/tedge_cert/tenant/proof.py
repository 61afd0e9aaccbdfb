# SPDX-License-Identifier: Apache-2.0
"""The proof of a certificate: a connection to the tenant with it and the device's key, and a PUBACK.

The same client id as the bridge's is used, because the tenant knows the device by it; so the tenant drops the
bridge (MQTT 3.1.1 §3.1.4-2), which comes back by itself.
"""

import socket
import ssl
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tedge_cert import journal
from tedge_cert.bridge.health import LEAST_PAUSE_S, Bridge
from tedge_cert.device.instance import Instance
from tedge_cert.durations import format_duration
from tedge_cert.errors import CertificateError
from tedge_cert.hourly.validity import EXPIRED, NOT_VALID_YET
from tedge_cert.net.mqtt import ConnackError, Connection, ConnectionClosedError
from tedge_cert.net.resolver import reaching
from tedge_cert.net.tls import ClientContext, client_context, verifying_context
from tedge_cert.net.tls_errors import explain
from tedge_cert.tenant import eviction
from tedge_cert.x509 import certificate

ATTEMPTS = 5
PAUSE_S = 2.0
CONNECT_S = 30.0
PUBACK_S = 20.0
REFUSAL_S = 3.0
# How long the news that the bridge is back may take behind the end of the probe that it pushed out.
RETURN_GRACE_S = 1.0
# Return codes that speak of the client and not of the server's state (MQTT 3.1.1 §3.2.2.3).
REFUSING_CODES = (2, 4, 5)


class Answer(Enum):
    """What the tenant says of a certificate."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NO_ANSWER = "no answer"
    CLOSED = "closed after CONNACK"


@dataclass(frozen=True)
class Verdict:
    """An answer, and the fact that it rests on."""

    answer: Answer
    reason: str
    # Of a connection that was closed after CONNACK: when that came, in monotonic seconds.
    connected_s: float = 0.0

    @property
    def accepted(self) -> bool:
        """Whether the tenant took the certificate."""
        return self.answer is Answer.ACCEPTED

    @property
    def refused(self) -> bool:
        """Whether the tenant refused the certificate, as opposed to not answering."""
        return self.answer is Answer.REFUSED


def prove(instance: Instance, path: Path, bridge: Bridge | None = None) -> Verdict:
    """What the tenant says of the certificate at ``path``, in at most five attempts.

    A refusal counts only if it is the last word: a certificate just issued may take a moment to be known everywhere.
    """
    return _prove(instance, client_context(instance.trust, path, instance.key), bridge, path)


def prove_own(instance: Instance) -> Verdict:
    """What the tenant says of whatever the device shows it now, in at most five attempts."""
    return _prove(instance, own_context(instance))


def _prove(
    instance: Instance, context: ClientContext, bridge: Bridge | None = None, path: Path | None = None
) -> Verdict:
    shown = None if context.login else path or instance.certificate
    answers: list[Verdict] = []
    for number in range(1, ATTEMPTS + 1):
        if answers:
            time.sleep(PAUSE_S)
        verdict = _attempt(instance, context, shown, pushes=bridge is not None and bridge.is_up)
        if verdict.answer is Answer.CLOSED and bridge and _was_taken_back(bridge, verdict.connected_s):
            verdict = Verdict(Answer.ACCEPTED, "connected, then the bridge took the connection back before the PUBACK")
        if verdict.accepted:
            return verdict
        journal.info(f"attempt {number} of {ATTEMPTS}: {verdict.reason}")
        answers.append(verdict)
    last = answers[-1]
    if all(each.answer is Answer.CLOSED for each in answers):
        return Verdict(Answer.REFUSED, f"the tenant closed the connection after CONNACK in all {ATTEMPTS} attempts")
    return last if last.refused else Verdict(Answer.NO_ANSWER, last.reason)


def evict_bridge(instance: Instance) -> Verdict:
    """Push the bridge out by a short connection with the active certificate, so that it reconnects with it."""
    context = own_context(instance)
    return _attempt(instance, context, None if context.login else instance.certificate, pushes=True, publish=False)


def own_context(instance: Instance) -> ClientContext:
    """What a connection of our own shows: the active certificate, or user and password in its place."""
    if not instance.uses_basic:
        return client_context(instance.trust, instance.certificate, instance.key)
    context = verifying_context(instance.trust)
    context.login = instance.credentials
    return context


def open_own(instance: Instance, context: ClientContext, pushes: bool = False) -> Connection:
    """A connection of our own to the tenant's MQTT endpoint, which ``pushes`` the bridge out; raises OSError."""
    when = eviction.await_moment if pushes else None
    return Connection(instance.mqtt, instance.device_id, CONNECT_S, context, login=context.login, before_connect=when)


def _was_taken_back(bridge: Bridge, connected_s: float) -> bool:
    """Whether the bridge ended our connection by coming back; sooner than its pause, somebody else ended it."""
    held_s = time.monotonic() - connected_s
    return held_s >= LEAST_PAUSE_S and bridge.wait_for_return(connected_s, RETURN_GRACE_S)


def why_no_tls(instance: Instance) -> str:
    """Why the tenant's MQTT endpoint and this device do not get to speak by TLS; empty if they do.

    A handshake and no more, so that nobody is pushed out.
    """
    context, (host, port) = own_context(instance), instance.mqtt
    shown = None if context.login else instance.certificate
    try:
        with reaching(CONNECT_S, f"connecting to {host}:{port}"):
            plain = socket.create_connection((host, port), CONNECT_S)
        with plain:
            plain.settimeout(REFUSAL_S)
            with context.wrap_socket(plain, server_hostname=host) as secured:
                # What a server says of a certificate in TLS 1.3 comes after the handshake; silence is consent.
                secured.recv(1)
    except TimeoutError:
        return ""
    except OSError as error:
        return _verdict_of(error, context, f"{host}:{port}", instance, shown).reason
    return ""


def why_refused(path: Path) -> str:
    """What the certificate at ``path`` itself says to its refusal."""
    try:
        found = certificate.load(path).validity
    except CertificateError as error:
        return str(error)
    now_s = time.time()
    state = found.state(now_s, 0)
    if state == EXPIRED:
        return f"it expired {format_duration(-found.left_s(now_s), 2)} ago"
    if state == NOT_VALID_YET:
        ahead = format_duration(int(found.not_before_s - now_s), 2)
        return f"it is not valid for another {ahead}: is the clock of this device right?"
    return "it is within its validity, so the tenant does not recognise it: is it, or its issuer, trusted there?"


def _attempt(
    instance: Instance, context: ClientContext, shown: Path | None, pushes: bool, publish: bool = True
) -> Verdict:
    context.refusal = None
    host, port = instance.mqtt
    try:
        with open_own(instance, context, pushes) as connection:
            connected_s = time.monotonic()
            try:
                if publish:
                    device_type = instance.config.need("device.type")
                    connection.publish("s/us", f"100,{instance.device_id},{device_type}", 1, PUBACK_S)
                return Verdict(Answer.ACCEPTED, f"{host}:{port} accepted it")
            except ConnectionClosedError:
                if context.refusal is None:
                    reason = f"{host}:{port} closed the connection after CONNACK"
                    return Verdict(Answer.CLOSED, reason, connected_s)
                raise
    except OSError as error:
        return _verdict_of(error, context, f"{host}:{port}", instance, shown)


def _verdict_of(
    error: OSError, context: ClientContext, endpoint: str, instance: Instance, shown: Path | None
) -> Verdict:
    if context.refusal is not None and shown is not None:
        reason = f"{endpoint} refused the certificate (TLS alert: {context.refusal}): {why_refused(shown)}"
        return Verdict(Answer.REFUSED, reason)
    if isinstance(error, ConnackError):
        refused = error.code in REFUSING_CODES
        advice = f"; check the user and password in {instance.credentials_path}" if refused and context.login else ""
        return Verdict(Answer.REFUSED if refused else Answer.NO_ANSWER, f"{endpoint} answered {error}{advice}")
    reason = error.strerror or str(error)
    if isinstance(error, ssl.SSLError):
        reason = explain(error, endpoint, instance.trust)
    untrusted = isinstance(error, ssl.SSLCertVerificationError)
    return Verdict(Answer.NO_ANSWER, reason if untrusted else f"no answer from {endpoint}: {reason}")
