# SPDX-License-Identifier: Apache-2.0
"""Prove a certificate: connect to the tenant with it and the device's key, and see a message acknowledged."""

import socket
import ssl
import time
from functools import partial
from pathlib import Path

from tedge_cert import journal
from tedge_cert.bridge.health import NEWS_S, Bridge
from tedge_cert.device.connections import Tenant
from tedge_cert.net.resolver import reaching
from tedge_cert.net.tls import ClientContext
from tedge_cert.tenant import smartrest
from tedge_cert.tenant.eviction import await_moment
from tedge_cert.tenant.own_connection import CONNECT_S, Answer, Verdict, attempt, own_context, verdict_of
from tedge_cert.x509.client_identity import client_context

ATTEMPTS = 5
PAUSE_S = 2.0
REFUSAL_S = 3.0
# How long after the end of our connection the broker may report that the bridge is back.
RETURN_GRACE_S = 1.0


def prove(tenant: Tenant, path: Path, bridge: Bridge | None = None, key: Path | None = None) -> Verdict:
    """Return what the tenant says of the certificate at ``path``, in at most five attempts.

    Its private key is the device's, or that at ``key``.
    A refusal counts only if it is the last word: a certificate just issued may take a moment to be known everywhere.
    """
    return _prove(tenant, client_context(tenant.trust, path, key or tenant.key), bridge)


def prove_own(tenant: Tenant) -> Verdict:
    """Return what the tenant says of what the device shows now, in at most five attempts."""
    return _prove(tenant, own_context(tenant))


def _prove(tenant: Tenant, context: ClientContext, bridge: Bridge | None = None) -> Verdict:
    message = smartrest.message(smartrest.CREATE, tenant.device_id, tenant.device_type)
    answers: list[Verdict] = []
    for number in range(1, ATTEMPTS + 1):
        if answers:
            time.sleep(PAUSE_S)
        pushed = bridge if bridge is not None and bridge.is_up and bridge.counts_seconds else None
        verdict = attempt(tenant, context, message, partial(await_moment, clock=pushed.clock) if pushed else None)
        if verdict.answer is Answer.CLOSED and bridge and _was_taken_back(bridge, verdict.connected_s):
            verdict = Verdict(Answer.ACCEPTED, "connected, then the bridge took the connection back before the PUBACK")
        # The caller reports the last one.
        if answers and answers[-1].reason != verdict.reason:
            journal.info(f"attempt {number - 1} of {ATTEMPTS}: {answers[-1].reason}")
        if verdict.accepted:
            return verdict
        answers.append(verdict)
    last = answers[-1]
    if all(each.answer is Answer.CLOSED for each in answers):
        return Verdict(Answer.REFUSED, f"the tenant closed the connection after CONNACK in all {ATTEMPTS} attempts")
    return last if last.refused else Verdict(Answer.NO_ANSWER, last.reason)


def _was_taken_back(bridge: Bridge, connected_s: float) -> bool:
    """Return whether the bridge ended our connection by coming back, which it does only after its pause."""
    # The bridge falls just before CONNACK. In doubt the close counts as the tenant's, which only costs an attempt.
    is_after_pause = time.monotonic() >= bridge.reads_again_s(connected_s + NEWS_S)
    return is_after_pause and bridge.wait_for_return(connected_s, RETURN_GRACE_S)


def why_no_tls(tenant: Tenant, context: ClientContext | None = None, connect_s: float = CONNECT_S) -> str:
    """Return why the tenant's MQTT endpoint and this device cannot speak TLS; empty if they can.

    Only a handshake is made, so that the bridge is not pushed out; by default with what the device shows now.
    """
    context, (host, port) = context or own_context(tenant), tenant.mqtt
    try:
        with reaching(connect_s, f"connecting to {host}:{port}"):
            plain = socket.create_connection((host, port), connect_s)
        with plain, context.wrap_socket(plain, server_hostname=host) as secured:
            _await_refusal(secured)
    except OSError as error:
        return verdict_of(error, context, tenant).reason
    return ""


def _await_refusal(secured: ssl.SSLSocket) -> None:
    """Wait for the alert that refuses a certificate; in TLS 1.3 it comes after the handshake, if it comes."""
    secured.settimeout(REFUSAL_S)
    try:
        secured.recv(1)
    except TimeoutError:
        return
