# SPDX-License-Identifier: Apache-2.0
"""A token for a certificate over mutual TLS, without MQTT: so the bridge stays, and may be down.

Not every tenant offers it. Whether this one does is asked once and remembered until the next boot. It is also the
gentlest proof of a certificate, as it takes nobody's client id; but a refusal counts only where the active
certificate was given a token: what refuses everybody says nothing about the candidate.
"""

import json
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from tedge_cert import journal
from tedge_cert.device.connections import Tenant
from tedge_cert.disk import files, owners
from tedge_cert.errors import TedgeCertError
from tedge_cert.net.authorization import is_token
from tedge_cert.net.proxy import Proxy
from tedge_cert.net.resolver import reaching
from tedge_cert.net.retry_after import compare_clock
from tedge_cert.net.tls import ClientContext, client_context
from tedge_cert.net.tls_errors import explain
from tedge_cert.tenant import proof
from tedge_cert.tenant.own_connection import Answer, Verdict, why_refused
from tedge_cert.x509 import certificate, clock

PATH = "/devicecontrol/deviceAccessToken"
# Where packets are dropped silently, renewal has to go on by another way within the time of its unit.
CONNECT_S = 10.0
DEADLINE_S = 20.0
LIMIT_BYTES = 65_536


@dataclass(frozen=True)
class Reply:
    """What came of one request; ``absent`` is that of a tenant without it, ``silent`` none in time."""

    answer: Answer
    reason: str
    token: str = ""
    absent: bool = False
    silent: bool = False


def request(tenant: Tenant) -> str | None:
    """A token with the active certificate; None where the tenant does not offer that, or did not answer."""
    if not is_to_be_asked(tenant, _url(tenant)):
        return None
    reply = _ask(tenant, tenant.certificate)
    if reply.token:
        journal.info(f"token received from {_url(tenant)}")
        return reply.token
    _tell(reply, "no token")
    return None


def prove(tenant: Tenant, candidate: Path) -> Verdict | None:
    """What the tenant says of ``candidate``; None if that cannot be found out here.

    As with the proof by MQTT, a refusal counts only if it is the last word of five.
    """
    if not is_to_be_asked(tenant, _url(tenant)):
        return None
    reply = _ask(tenant, candidate)
    for number in range(2, proof.ATTEMPTS + 1):
        if reply.answer is not Answer.REFUSED:
            break
        journal.info(f"attempt {number - 1} of {proof.ATTEMPTS}: {reply.reason}")
        if not _gives_tokens(tenant):
            journal.info("it gives the active certificate no token either, so that says nothing")
            return None
        time.sleep(proof.PAUSE_S)
        reply = _ask(tenant, candidate)
    if reply.answer is Answer.NO_ANSWER:
        _tell(reply, "no proof")
        return None
    return Verdict(reply.answer, reply.reason)


def _gives_tokens(tenant: Tenant) -> bool:
    """Whether the active certificate was given a token since the boot, or is now; an expired one is not shown."""
    if recall(tenant, _url(tenant)) == OFFERED:
        return True
    try:
        clock.check_presentable(certificate.load(tenant.certificate), tenant.certificate)
    except TedgeCertError:
        return False
    return bool(_ask(tenant, tenant.certificate).token)


def _tell(reply: Reply, what: str) -> None:
    # That a tenant does not offer it is nothing to look at.
    (journal.debug if reply.absent else journal.info)(f"{what}: {reply.reason}")


def _url(tenant: Tenant) -> str:
    host, port = tenant.access_token_endpoint
    return f"https://{host}:{port}{PATH}"


def _ask(tenant: Tenant, path: Path) -> Reply:
    """Ask with the certificate at ``path`` and the device's key."""
    import http.client  # Most tenants are asked once in the life of a boot, and this costs what a step's checks do.

    context = client_context(tenant.trust, path, tenant.key)
    url, way = _url(tenant), tenant.proxy
    if way is not None and way.speaks_tls:
        return Reply(Answer.NO_ANSWER, f"{url} is not asked by a proxy that speaks TLS itself ({way.address})")
    try:
        with reaching(DEADLINE_S, "the whole request"):
            status, content = _exchange(tenant.access_token_endpoint, context, _chain(path), way)
    except (OSError, http.client.HTTPException) as error:
        reply = _failure(tenant, error, context, path)
    else:
        reply = _judge(url, status, content)
    _remember(tenant, reply)
    return reply


def _failure(tenant: Tenant, error: Exception, context: ClientContext, path: Path) -> Reply:
    url, way = _url(tenant), tenant.proxy
    if context.refusal is not None:
        reason = f"{url} refused the certificate (TLS alert: {context.refusal}): {why_refused(path)}"
        return Reply(Answer.REFUSED, reason)
    said = str(error) or type(error).__name__
    if isinstance(error, ssl.SSLError):
        said = explain(error, "it", tenant.trust)
    elif way is not None:
        said = way.explain(said)
    elif isinstance(error, ConnectionRefusedError):
        return Reply(Answer.NO_ANSWER, f"no answer from {url}: {error.strerror}", absent=True)
    return Reply(Answer.NO_ANSWER, f"no answer from {url}: {said}", silent=isinstance(error, TimeoutError))


def _exchange(endpoint: tuple[str, int], context: ClientContext, chain: str, way: Proxy | None) -> tuple[int, bytes]:
    """Status and body; no redirect is followed, no environment asked. Raises OSError or HTTPException."""
    import http.client

    connection = http.client.HTTPSConnection(*(way.endpoint if way else endpoint), timeout=CONNECT_S, context=context)
    if way is not None:
        connection.set_tunnel(*endpoint, headers=way.headers)
    try:
        fields = {"Accept": "application/json", **({"X-Ssl-Cert-Chain": chain} if chain else {})}
        connection.request("POST", PATH, headers=fields)
        answer = connection.getresponse()
        compare_clock(endpoint[0], answer.getheader("Date"))
        return answer.status, answer.read(LIMIT_BYTES)
    finally:
        connection.close()


def _chain(path: Path) -> str:
    """A certificate that brings its chain, for a header: a tenant may end TLS before it asks who that was.

    Blanks instead of line breaks, as the tenant's interface describes it; empty for a certificate alone.
    """
    text = path.read_text(encoding="ascii", errors="replace")
    return " ".join(text.split("\n")).strip() if text.count("-----BEGIN CERTIFICATE-----") > 1 else ""


def _judge(url: str, status: int, content: bytes) -> Reply:
    if status in (200, 201):
        token = _token_in(content)
        if token:
            return Reply(Answer.ACCEPTED, f"{url} gave a token for it", token)
        return Reply(Answer.NO_ANSWER, f"{url} answered {status} without a token")
    if status == 401:
        return Reply(Answer.REFUSED, f"{url} refused the certificate ({status})")
    return Reply(Answer.NO_ANSWER, f"{url} answered {status}", absent=status == 404)


def _token_in(content: bytes) -> str:
    try:
        token = json.loads(content)["accessToken"]
    except (ValueError, KeyError, TypeError):
        return ""
    return token if isinstance(token, str) and is_token(token) else ""


def _remember(tenant: Tenant, reply: Reply) -> None:
    """A token was given, or there are none; an endpoint that gave one before is thought to be away for a while."""
    url = _url(tenant)
    if reply.silent:
        keep_silence(tenant, url)
    elif reply.token:
        keep(tenant, url, OFFERED)
    elif reply.absent and recall(tenant, url) != OFFERED:
        keep(tenant, url, NOT_OFFERED)


OFFERED, NOT_OFFERED = "offered", "not offered"
SILENCE_S = 3600
_SILENT = "silent until"
_FACT_BYTES = 1000


def recall(tenant: Tenant, url: str) -> str:
    """What is known of ``url``; empty if nothing is."""
    try:
        said = files.read_regular(tenant.token_memory, _FACT_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    fact, _, of = said.partition(": ")
    return fact if of == url else ""


def is_to_be_asked(tenant: Tenant, url: str) -> bool:
    """Whether it may be there, and was not silent a while ago."""
    fact = recall(tenant, url)
    if _silent_s(fact):
        journal.debug(f"{url} is not asked: it did not answer in time, and is left alone for {_silent_s(fact)} s more")
        return False
    return fact != NOT_OFFERED


def keep(tenant: Tenant, url: str, fact: str) -> None:
    """Remember ``fact``; what cannot be written is found out again."""
    if fact == recall(tenant, url):
        return
    try:
        files.write(tenant.token_memory, f"{fact}: {url}".encode(), owners.HANDOVER)
    except TedgeCertError as error:
        journal.debug(f"not remembered: {error}")


def keep_silence(tenant: Tenant, url: str) -> None:
    """Remember that there was no answer in time."""
    # The same clock for every process until the next boot, which empties /run (clock_gettime(2)).
    keep(tenant, url, f"{_SILENT} {int(time.monotonic()) + SILENCE_S}")


def _silent_s(fact: str) -> int:
    """For how many seconds more it is left alone; an end further away than any that is written is none."""
    words, _, end = fact.rpartition(" ")
    left_s = int(end) - int(time.monotonic()) if words == _SILENT and end.isdecimal() else 0
    return left_s if 0 < left_s <= SILENCE_S else 0
