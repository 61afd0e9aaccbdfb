# SPDX-License-Identifier: Apache-2.0
"""Connect to the local broker, with TLS and a user name where its listener asks for them (mqtt.client.auth.*)."""

import ssl
from collections.abc import Callable

from tedge_cert.config import credentials
from tedge_cert.config.credentials import Credentials
from tedge_cert.device.connections import LocalBroker
from tedge_cert.net.failures import reason_of
from tedge_cert.net.mqtt import ConnackError, Connection, ConnectionClosedError, Message
from tedge_cert.net.tls import ClientContext, client_context, verifying_context
from tedge_cert.net.tls_errors import explain as explain_tls

_AUTH = "mqtt.client.auth"
# Bad user name or password, not authorised (MQTT 3.1.1 §3.2.2.3).
_UNKNOWN = (4, 5)


def connect(
    broker: LocalBroker,
    timeout_s: float,
    on_message: Callable[[Message], None] | None = None,
    on_close: Callable[[], None] | None = None,
    client_id: str = "",
    holds_session: bool = False,
) -> Connection:
    """Connect to the broker; raises OSError, or ConfigurationError for a file that cannot be used."""
    return Connection(
        (broker.host, broker.port),
        client_id,
        timeout_s,
        _context(broker),
        on_message=on_message,
        on_close=on_close,
        login=_login(broker),
        holds_session=holds_session,
    )


def explain(broker: LocalBroker, error: OSError) -> str:
    """Say why there is no connection to the broker, and what to do."""
    endpoint = f"{broker.host}:{broker.port}"
    name = f"the broker at {endpoint}"
    if isinstance(error, ConnackError) and error.code in _UNKNOWN:
        return f"{name} answered {error}; set {_AUTH}.username and {_AUTH}.password_file to a user that it knows"
    if isinstance(error, ssl.SSLCertVerificationError) and broker.trust:
        return f"no TLS with {name}: {explain_tls(error, endpoint, broker.trust)}"
    wanted = f"if its listener speaks TLS, set {_AUTH}.ca_file to its trust anchors"
    if broker.trust:
        wanted = f"if its listener wants a certificate, set {_AUTH}.cert_file and {_AUTH}.key_file"
    if isinstance(error, ssl.SSLError) and broker.trust:
        return f"no TLS with {name}: {explain_tls(error, name, broker.trust)}; {wanted}"
    if isinstance(error, ConnectionClosedError):
        return f"{name} closed the connection; {wanted}"
    return f"no broker at {endpoint}: {reason_of(error)}; see `systemctl status mosquitto`"


def is_final(error: OSError) -> bool:
    """Return whether the broker is there, and would answer the same when it is asked again."""
    return isinstance(error, ssl.SSLError) or (isinstance(error, ConnackError) and error.code in _UNKNOWN)


def _context(broker: LocalBroker) -> ClientContext | None:
    if broker.trust is None:
        return None
    if broker.certificate is None or broker.key is None:
        return verifying_context(broker.trust)
    return client_context(broker.trust, broker.certificate, broker.key, (f"{_AUTH}.cert_file", f"{_AUTH}.key_file"))


def _login(broker: LocalBroker) -> Credentials | None:
    if broker.username is None:
        return None
    if broker.password_file is None:
        return Credentials(broker.username, "")
    password = credentials.read_password(broker.password_file, f"{_AUTH}.password_file", "the local broker")
    return Credentials(broker.username, password)
