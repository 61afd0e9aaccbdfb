# SPDX-License-Identifier: Apache-2.0
"""TLS towards the tenant: trust anchors, our certificate, and what it means when the other side says no."""

import ssl
from pathlib import Path
from typing import Any

from tedge_cert.config.credentials import Credentials
from tedge_cert.errors import CertificateError, ConfigurationError
from tedge_cert.net import anchors
from tedge_cert.net.anchors import ROOTS

# Alerts that name the certificate of the sender's peer (RFC 8446 §6.2), as OpenSSL spells them.
_ABOUT_OUR_CERTIFICATE = (
    "BAD_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
)


class AlertSocket(ssl.SSLSocket):
    """A TLS socket that remembers the alert which ended it.

    In TLS 1.3 a server judges our certificate after our side of the handshake is done, so the alert arrives with
    the first read, deep inside a library; that of MQTT only tells that the connection is lost.
    """

    def do_handshake(self, block: bool = False) -> None:
        """As in the base class, an alert about our certificate remembered."""
        try:
            super().do_handshake(block)
        except ssl.SSLError as error:
            self._remember(error)
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As in the base class; an alert is remembered and becomes the end of the connection."""
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._remember(error)
            # The MQTT library of Debian 12 expects ConnectionError alone here.
            raise ConnectionResetError(str(error)) from error

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """As in the base class, which the HTTP library reads by; an alert is remembered."""
        try:
            return super().recv_into(buffer, nbytes, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._remember(error)
            raise

    def _remember(self, error: ssl.SSLError) -> None:
        context = self.context
        # Nobody but a server that proved its name can speak about our certificate.
        if isinstance(context, ClientContext) and self._server_is_verified():
            context.refusal = refusal_in(error)

    def _server_is_verified(self) -> bool:
        # Python 3.13 has this as a method of the socket, 3.11 and 3.12 on the object beneath it.
        inner = getattr(self, "_sslobj", None)
        get_chain = getattr(self, "get_verified_chain", None) or getattr(inner, "get_verified_chain", None)
        return bool(get_chain and get_chain())


class ClientContext(ssl.SSLContext):
    """What a connection to a server needs; ``refusal`` is what it said of our certificate, if it did.

    ``login`` is what we say within the connection of who we are, where no certificate does.
    """

    sslsocket_class = AlertSocket
    refusal: str | None = None
    login: Credentials | None = None


def client_context(trust: Path, certificate: Path, key: Path, setting: str = ROOTS) -> ClientContext:
    """A context that verifies the server by ``trust`` and shows ``certificate`` (with its chain) and ``key``.

    TLS 1.2 at least, name checked. Raises ConfigurationError, which names ``setting``, or CertificateError.
    """
    context = verifying_context(trust, setting)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(f"cannot use {certificate} with the key {key}: {_why_unusable(error)}") from error
    return context


def verifying_context(trust: Path, setting: str = ROOTS) -> ClientContext:
    """A context that verifies the server by ``trust`` and shows no certificate; raises ConfigurationError."""
    anchors.check(trust, setting)
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if trust.is_dir():
            context.load_verify_locations(capath=str(trust))
        else:
            context.load_verify_locations(cafile=str(trust))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"cannot read the trust anchors {trust}: {error}; expected a file or directory of certificates in PEM "
            f"({setting})"
        ) from error
    return context


def _why_unusable(error: OSError) -> str:
    """What is wrong with a certificate or key of ours."""
    if isinstance(error, ssl.SSLError) and "VALUES_MISMATCH" in (error.reason or ""):
        return "the key is that of another certificate; put back the one it was made with, or register the device anew"
    return error.strerror or str(error)


def refusal_in(error: ssl.SSLError) -> str | None:
    """The alert in ``error`` if it is one about our certificate, in words."""
    reason = error.reason or ""
    if "ALERT_" not in reason:
        return None
    alert = reason.partition("ALERT_")[2]
    return alert.replace("_", " ").lower() if alert in _ABOUT_OUR_CERTIFICATE else None
