# SPDX-License-Identifier: Apache-2.0
"""The proof of a certificate: a connection to the tenant with it and the device's key, and a PUBACK.

The same client id as the bridge's is used, because the tenant knows the device by it; so the tenant drops the
bridge (MQTT 3.1.1 §3.1.4-2), which comes back by itself.
"""

import ssl
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tedge_cert import journal
from tedge_cert.bridge import LEAST_PAUSE_S, Bridge
from tedge_cert.instance import Instance
from tedge_cert.mqtt import ConnackError, Connection, ConnectionClosedError
from tedge_cert.tls import ClientContext, client_context

ATTEMPTS = 5
PAUSE_S = 2.0
CONNECT_S = 30.0
PUBACK_S = 20.0
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


def prove(instance: Instance, certificate: Path, bridge: Bridge | None = None) -> Verdict:
    """What the tenant says of ``certificate``, in at most five attempts.

    A refusal counts only if it is the last word: a certificate just issued may take a moment to be known everywhere.
    """
    context = client_context(instance.trust, certificate, instance.key)
    answers: list[Verdict] = []
    for number in range(1, ATTEMPTS + 1):
        if answers:
            time.sleep(PAUSE_S)
        verdict = _attempt(instance, context)
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
    context = client_context(instance.trust, instance.certificate, instance.key)
    return _attempt(instance, context, publish=False)


def open_own(instance: Instance, context: ClientContext) -> Connection:
    """A connection of our own to the tenant's MQTT endpoint; raises OSError."""
    return Connection(instance.mqtt, instance.device_id, CONNECT_S, context)


def _was_taken_back(bridge: Bridge, connected_s: float) -> bool:
    """Whether the bridge ended our connection by coming back; sooner than its pause, somebody else ended it."""
    held_s = time.monotonic() - connected_s
    return held_s >= LEAST_PAUSE_S and bridge.wait_for_return(connected_s, RETURN_GRACE_S)


def _attempt(instance: Instance, context: ClientContext, publish: bool = True) -> Verdict:
    context.refusal = None
    host, port = instance.mqtt
    try:
        with open_own(instance, context) as connection:
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
        return _verdict_of(error, context, f"{host}:{port}", instance)


def _verdict_of(error: OSError, context: ClientContext, endpoint: str, instance: Instance) -> Verdict:
    if context.refusal is not None:
        return Verdict(Answer.REFUSED, f"{endpoint} refused the certificate (TLS alert: {context.refusal})")
    if isinstance(error, ConnackError):
        refused = error.code in REFUSING_CODES
        return Verdict(Answer.REFUSED if refused else Answer.NO_ANSWER, f"{endpoint} answered {error}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Verdict(Answer.NO_ANSWER, f"{endpoint} is {untrusted(error, instance)}")
    return Verdict(Answer.NO_ANSWER, f"no answer from {endpoint}: {error.strerror or error}")


def untrusted(error: ssl.SSLCertVerificationError, instance: Instance) -> str:
    """What to say of a server of MQTT that the trust anchors do not vouch for."""
    return (
        f"not trusted ({error.verify_message}): set c8y.root_cert_path ({instance.trust}) to the file or directory "
        "with the tenant's root certificate"
    )
