# SPDX-License-Identifier: Apache-2.0
"""Connect to the tenant's MQTT endpoint without the bridge, and judge the certificate by how the connection ends.

The client id is that of the bridge, because the tenant knows the device by it; so the tenant drops the bridge
(MQTT 3.1.1 §3.1.4-2), which comes back by itself.
"""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tedge_cert.device.connections import Tenant
from tedge_cert.durations import format_duration
from tedge_cert.errors import CertificateError
from tedge_cert.hourly.validity import EXPIRED, NOT_VALID_YET
from tedge_cert.net.failures import reason_of
from tedge_cert.net.mqtt import ConnackError, Connection, ConnectionClosedError
from tedge_cert.net.tls import REVOKED, ClientContext, verifying_context
from tedge_cert.net.tls_errors import explain
from tedge_cert.x509 import certificate
from tedge_cert.x509.client_identity import client_context

CONNECT_S = 30.0
PUBACK_S = 20.0
# A chain of three large certificates is shorter. Servers end a handshake that is too long in one of these ways: OpenSSL
# by an alert that a reset overtakes, others by a close, or they wait for the rest of what they do not take.
_USUAL_BYTES = 16 << 10
_MAY_BE_TOO_LONG = (ssl.SSLError, ConnectionError, ConnectionClosedError, TimeoutError)
# Return codes that speak of the client and not of the server's state (MQTT 3.1.1 §3.2.2.3).
REFUSING_CODES = (2, 4, 5)


class Answer(Enum):
    """The tenant's answer to a certificate."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NO_ANSWER = "no answer"
    CLOSED = "closed after CONNACK"


@dataclass(frozen=True)
class Verdict:
    """An answer and its reason."""

    answer: Answer
    reason: str
    # When CONNACK came, in monotonic seconds, if the tenant closed the connection after that.
    connected_s: float = 0.0
    # The TLS alert by which the tenant refused the certificate, in words; empty if it refused in another way.
    alert: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the tenant took the certificate."""
        return self.answer is Answer.ACCEPTED

    @property
    def refused(self) -> bool:
        """Whether the tenant refused the certificate, as opposed to not answering."""
        return self.answer is Answer.REFUSED


def own_context(tenant: Tenant) -> ClientContext:
    """Return what the device shows: the active certificate, or user and password; raises TedgeCertError."""
    login = tenant.login()
    if login is None:
        return client_context(tenant.trust, tenant.certificate, tenant.key)
    context = verifying_context(tenant.trust)
    context.login = login
    return context


def open_own(
    tenant: Tenant, context: ClientContext, before_connect: Callable[[ssl.SSLSocket], None] | None = None
) -> Connection:
    """Connect to the tenant's MQTT endpoint; ``before_connect`` may wait before CONNECT. Raises OSError."""
    return Connection(
        tenant.mqtt, tenant.device_id, CONNECT_S, context, login=context.login, before_connect=before_connect
    )


def attempt(
    tenant: Tenant,
    context: ClientContext,
    message: str = "",
    before_connect: Callable[[ssl.SSLSocket], None] | None = None,
) -> Verdict:
    """Connect once with what ``context`` shows, and with ``message`` wait until the tenant acknowledges that."""
    context.refusal = None
    host, port = tenant.mqtt
    try:
        with open_own(tenant, context, before_connect) as connection:
            connected_s = time.monotonic()
            try:
                if message:
                    connection.publish("s/us", message, 1, PUBACK_S)
                return Verdict(Answer.ACCEPTED, f"{host}:{port} accepted it")
            except ConnectionClosedError:
                if context.refusal is None:
                    reason = f"{host}:{port} closed the connection after CONNACK"
                    return Verdict(Answer.CLOSED, reason, connected_s)
                raise
    except OSError as error:
        return verdict_of(error, context, tenant)


def verdict_of(error: OSError, context: ClientContext, tenant: Tenant) -> Verdict:
    """Return what the end of a connection to the tenant's MQTT endpoint says of the certificate that was shown."""
    endpoint, shown = "{}:{}".format(*tenant.mqtt), context.shown
    if context.refusal is not None and shown is not None:
        reason = f"{endpoint} {refusal_of(context.refusal, shown)}"
        return Verdict(Answer.REFUSED, reason, alert=context.refusal)
    if isinstance(error, ConnackError):
        refused = error.code in REFUSING_CODES
        advice = f"; check the user and password in {tenant.credentials_path}" if refused and context.login else ""
        return Verdict(Answer.REFUSED if refused else Answer.NO_ANSWER, f"{endpoint} answered {error}{advice}")
    if isinstance(error, ssl.SSLError):
        reason = explain(error, endpoint, tenant.trust, shown is not None)
    else:
        reason = reason_of(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Verdict(Answer.NO_ANSWER, reason)
    if shown is not None and isinstance(error, _MAY_BE_TOO_LONG) and not isinstance(error, ConnectionRefusedError):
        reason += _too_long(shown)
    return Verdict(Answer.NO_ANSWER, f"no answer from {endpoint}: {reason}")


def _too_long(path: Path) -> str:
    """Return what to do about a handshake that the server may find too long; empty for a chain of usual length."""
    try:
        size = path.stat().st_size
    except OSError:
        return ""
    if size <= _USUAL_BYTES:
        return ""
    return (
        f"; the handshake of this device is very long ({path} has {size >> 10} KiB), and may be too long for the "
        "server: shorten the chain in that file to the certificates between the device's and the authority that the "
        "tenant knows"
    )


def refusal_of(alert: str, path: Path) -> str:
    """Return what a TLS ``alert`` about the certificate at ``path`` means; the text follows the name of the server."""
    if alert == REVOKED:
        return (
            f"says that the certificate is revoked (TLS alert: {alert}): ask who manages the tenant why; "
            "a device whose certificate is revoked is registered again, when it may be"
        )
    return f"refused the certificate (TLS alert: {alert}): {why_refused(path)}"


def why_refused(path: Path) -> str:
    """Return what the certificate at ``path`` itself says about its refusal."""
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
