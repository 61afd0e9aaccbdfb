# SPDX-License-Identifier: Apache-2.0
"""Connections to the local broker, with TLS and a name where its listener asks for them (mqtt.client.auth.*)."""

import ssl
from collections.abc import Callable
from pathlib import Path

from tedge_cert.config.credentials import Credentials
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files
from tedge_cert.errors import ConfigurationError
from tedge_cert.net.anchors import Trust
from tedge_cert.net.mqtt import ConnackError, Connection, ConnectionClosedError, Message
from tedge_cert.net.tls import ClientContext, client_context, verifying_context
from tedge_cert.net.tls_errors import explain as explain_tls

_AUTH = "mqtt.client.auth"
_PASSWORD_BYTES = 4096
# Bad user name or password, not authorised (MQTT 3.1.1 §3.2.2.3).
_UNKNOWN = (4, 5)


def connect(
    instance: Instance,
    timeout_s: float,
    on_message: Callable[[Message], None] | None = None,
    on_close: Callable[[], None] | None = None,
) -> Connection:
    """Connect to the broker; raises OSError, or ConfigurationError for settings that cannot be used."""
    context = _context(instance)
    return Connection(
        instance.broker, "", timeout_s, context, on_message=on_message, on_close=on_close, login=_login(instance)
    )


def explain(instance: Instance, error: OSError) -> str:
    """Why there is no connection to the broker, and what to do."""
    host, port = instance.broker
    name = f"the broker at {host}:{port}"
    trust = _trust(instance)
    if isinstance(error, ConnackError) and error.code in _UNKNOWN:
        return f"{name} answered {error}; set {_AUTH}.username and {_AUTH}.password_file to a user that it knows"
    if isinstance(error, ssl.SSLCertVerificationError) and trust:
        return f"no TLS with {name}: {explain_tls(error, f'{host}:{port}', trust)}"
    if isinstance(error, ssl.SSLError) and trust:
        wanted = f"if its listener wants a certificate, set {_AUTH}.cert_file and {_AUTH}.key_file"
        return f"no TLS with {name}: {explain_tls(error, name, trust)}; {wanted}"
    if isinstance(error, ConnectionClosedError):
        wanted = (
            f"if its listener wants a certificate, set {_AUTH}.cert_file and {_AUTH}.key_file"
            if trust
            else f"if its listener speaks TLS, set {_AUTH}.ca_file to its trust anchors"
        )
        return f"{name} closed the connection; {wanted}"
    return f"no broker at {host}:{port}: {error.strerror or error}; see `systemctl status mosquitto`"


def is_final(error: OSError) -> bool:
    """Whether the broker is there, and asking it again will not change its mind."""
    return isinstance(error, ssl.SSLError) or (isinstance(error, ConnackError) and error.code in _UNKNOWN)


def _context(instance: Instance) -> ClientContext | None:
    trust = _trust(instance)
    certificate, key = (_path(instance, each) for each in ("cert_file", "key_file"))
    if (certificate is None) is not (key is None) or (certificate and not trust):
        raise ConfigurationError(
            f"{_AUTH}.cert_file and {_AUTH}.key_file belong together, and need {_AUTH}.ca_file or {_AUTH}.ca_dir, "
            "which vouches for the local broker"
        )
    if trust is None:
        return None
    if certificate is None or key is None:
        return verifying_context(trust)
    return client_context(trust, certificate, key)


def _login(instance: Instance) -> Credentials | None:
    username = instance.config.get(f"{_AUTH}.username")
    path = _path(instance, "password_file")
    if username is None:
        if path is not None:
            raise ConfigurationError(f"{_AUTH}.password_file is set, but no {_AUTH}.username that it belongs to")
        return None
    if path is None:
        return Credentials(str(username), "")
    try:
        password = files.read_regular(path, _PASSWORD_BYTES, follow=True).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(
            f"cannot read the password for the local broker in {path} ({_AUTH}.password_file): {reason}; the renewal "
            "reads it as user tedge or group mosquitto"
        ) from error
    return Credentials(str(username), password.rstrip("\r\n"))


def _trust(instance: Instance) -> Trust | None:
    for name in ("ca_file", "ca_dir"):
        path = _path(instance, name)
        if path is not None:
            return Trust(path, f"{_AUTH}.{name}")
    return None


def _path(instance: Instance, name: str) -> Path | None:
    value = instance.config.get(f"{_AUTH}.{name}")
    return None if value is None else Path(str(value))
