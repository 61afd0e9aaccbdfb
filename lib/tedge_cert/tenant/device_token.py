# SPDX-License-Identifier: Apache-2.0
"""Ask the tenant for a token by mutual TLS with a certificate: no MQTT, so the bridge stays and may be down.

Not every tenant offers this. Whether it does is remembered until the next boot. It is also the gentlest proof of a
certificate, as it takes over no client id. But a refusal counts only if the active certificate was given a token: a
tenant that refuses every certificate says nothing about the candidate.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tedge_cert import journal
from tedge_cert.device.connections import Tenant
from tedge_cert.disk import files, owners
from tedge_cert.errors import TedgeCertError
from tedge_cert.net.authorization import is_token
from tedge_cert.tenant import own_connection, proof
from tedge_cert.tenant.own_connection import Answer, Verdict
from tedge_cert.x509 import certificate, clock
from tedge_cert.x509.client_identity import client_context

if TYPE_CHECKING:
    from tedge_cert.net.https import BrokenExchangeError, HttpAnswer

PATH = "/devicecontrol/deviceAccessToken"
# Where packets are dropped silently, renewal has to go on by another way within the time of its unit.
CONNECT_S = 10.0
DEADLINE_S = 20.0
LIMIT_BYTES = 65_536

OFFERED, NOT_OFFERED = "offered", "not offered"
SILENCE_S = 3600
_SILENT = "silent until"
_FACT_BYTES = 1000


@dataclass(frozen=True)
class TokenReply(Verdict):
    """The reply to one request; ``absent``: the tenant does not offer it, ``silent``: no answer came in time."""

    token: str = field(default="", repr=False)
    absent: bool = False
    silent: bool = False


def request(tenant: Tenant) -> str | None:
    """Get a token with the active certificate; None where the tenant does not offer that, or did not answer."""
    if not may_be_asked(tenant):
        return None
    reply = _reply_to(tenant, tenant.certificate)
    if reply.token:
        journal.info(f"token received from {url_of(tenant)}")
        return reply.token
    _log(reply, "no token")
    return None


def prove(tenant: Tenant, candidate: Path, key: Path | None = None) -> Verdict | None:
    """Prove ``candidate`` by asking for a token with it; None where that is not possible.

    Its private key is the device's, or that at ``key``.
    As with the proof by MQTT, a refusal counts only if it is the last word of five.
    """
    if not may_be_asked(tenant):
        return None
    reply = _reply_to(tenant, candidate, key)
    for number in range(2, proof.ATTEMPTS + 1):
        if not reply.refused:
            break
        if not _gives_tokens(tenant):
            journal.info(f"{reply.reason}; it gives the active certificate no token either, so that says nothing")
            return None
        time.sleep(proof.PAUSE_S)
        before, reply = reply, _reply_to(tenant, candidate, key)
        if reply.reason != before.reason:
            journal.info(f"attempt {number - 1} of {proof.ATTEMPTS}: {before.reason}")
    if reply.answer is Answer.NO_ANSWER:
        _log(reply, "no proof")
        return None
    return reply


def _gives_tokens(tenant: Tenant) -> bool:
    """Return whether the active certificate was given a token since the boot, or is now; do not show an expired one."""
    if recall(tenant) == OFFERED:
        return True
    try:
        clock.check_presentable(certificate.load(tenant.certificate), tenant.certificate)
    except TedgeCertError:
        return False
    return bool(_reply_to(tenant, tenant.certificate).token)


def _log(reply: TokenReply, what: str) -> None:
    # A tenant that does not offer it is no problem, so this is a line for debugging.
    (journal.debug if reply.absent else journal.info)(f"{what}: {reply.reason}")


def _reply_to(tenant: Tenant, shown: Path, key: Path | None = None) -> TokenReply:
    """Ask once with the certificate at ``shown``, and remember what that says of the endpoint."""
    # The HTTP library takes fifty milliseconds to load, and not every tenant is asked.
    from tedge_cert.net import https

    server = tenant.token_server
    if server.proxy is not None and server.proxy.speaks_tls:
        # Within TLS of the proxy, the alert that refuses a certificate would not be seen.
        reason = f"{url_of(tenant)} is not asked by a proxy that speaks TLS itself ({server.proxy.address})"
        return TokenReply(Answer.NO_ANSWER, reason)
    context = client_context(server.trust, shown, key or tenant.key)
    chain = _chain(shown)
    fields = {"Accept": "application/json", **({"X-Ssl-Cert-Chain": chain} if chain else {})}
    limits = https.Limits(CONNECT_S, CONNECT_S, DEADLINE_S, LIMIT_BYTES)
    try:
        answer = https.ask(server, https.Request("POST", PATH, fields), limits, context)
    except https.BrokenExchangeError as error:
        reply = _without_answer(tenant, error, shown)
    else:
        reply = _judge(answer)
    _remember(tenant, reply)
    return reply


def _without_answer(tenant: Tenant, error: "BrokenExchangeError", shown: Path) -> TokenReply:
    if error.alert:
        reason = f"{url_of(tenant)} {own_connection.refusal_of(error.alert, shown)}"
        return TokenReply(Answer.REFUSED, reason, alert=error.alert)
    absent = isinstance(error.cause, ConnectionRefusedError) and tenant.token_server.proxy is None
    return TokenReply(Answer.NO_ANSWER, str(error), absent=absent, silent=isinstance(error.cause, TimeoutError))


def _chain(path: Path) -> str:
    """Return a certificate with its chain as a header: TLS may end at a load balancer, before the tenant.

    Blanks instead of line breaks, as the tenant's interface describes it; empty for a certificate without a chain.
    """
    found = certificate.load(path)
    return found.pem.decode().replace("\n", " ").strip() if found.chain else ""


def _judge(answer: "HttpAnswer") -> TokenReply:
    from tedge_cert.net.https import message_in

    url, status = answer.url, answer.status
    if status in (200, 201):
        token = _token_in(answer)
        if token:
            return TokenReply(Answer.ACCEPTED, f"{url} gave a token for it", token=token)
        return TokenReply(Answer.NO_ANSWER, f"{url} answered {status} without a token")
    if status == 401:
        said = message_in(answer)
        return TokenReply(Answer.REFUSED, f"{url} refused the certificate ({status}){': ' if said else ''}{said}")
    return TokenReply(Answer.NO_ANSWER, f"{url} answered {status}", absent=status == 404)


def _token_in(answer: "HttpAnswer") -> str:
    try:
        token = answer.json()["accessToken"]
    except (ValueError, KeyError, TypeError):
        return ""
    return token if isinstance(token, str) and is_token(token) else ""


def _remember(tenant: Tenant, reply: TokenReply) -> None:
    # An endpoint that gave a token before is only down for a while, not absent.
    if reply.silent:
        keep_silence(tenant)
    elif reply.token:
        keep(tenant, OFFERED)
    elif reply.absent and recall(tenant) != OFFERED:
        keep(tenant, NOT_OFFERED)


def url_of(tenant: Tenant) -> str:
    """Return the address that is asked, by which the memory knows it."""
    return tenant.token_server.url_of(PATH)


def recall(tenant: Tenant) -> str:
    """Read what is known of the endpoint; empty if nothing is."""
    try:
        said = files.read_regular(tenant.token_memory, _FACT_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    fact, _, of = said.partition(": ")
    return fact if of == url_of(tenant) else ""


def may_be_asked(tenant: Tenant) -> bool:
    """Return whether the tenant may offer it, and was not silent a while ago."""
    fact = recall(tenant)
    if left_s := _silent_s(fact):
        journal.debug(f"{url_of(tenant)} is not asked for {left_s} s more: it did not answer in time")
        return False
    return fact != NOT_OFFERED


def keep(tenant: Tenant, fact: str) -> None:
    """Remember ``fact``; one that cannot be written is found out again."""
    if fact == recall(tenant):
        return
    try:
        files.write(tenant.token_memory, f"{fact}: {url_of(tenant)}".encode(), owners.HANDOVER)
    except TedgeCertError as error:
        journal.debug(f"not remembered: {error}")


def keep_silence(tenant: Tenant) -> None:
    """Remember that there was no answer in time."""
    # The same clock for every process until the next boot, which empties /run (clock_gettime(2)).
    keep(tenant, f"{_SILENT} {int(time.monotonic()) + SILENCE_S}")


def _silent_s(fact: str) -> int:
    """Return for how many more seconds the endpoint is not asked.

    An end further away than any that is written here was written by others, and does not count.
    """
    words, _, end = fact.rpartition(" ")
    left_s = int(end) - int(time.monotonic()) if words == _SILENT and end.isdecimal() else 0
    return left_s if 0 < left_s <= SILENCE_S else 0
