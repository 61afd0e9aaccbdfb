# SPDX-License-Identifier: Apache-2.0
"""Make TLS connections to a server: trust anchors, our certificate, and the alerts by which it is refused."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tedge_cert import cures
from tedge_cert.config.credentials import Credentials
from tedge_cert.disk import files
from tedge_cert.errors import CertificateError, ConfigurationError
from tedge_cert.net import anchors
from tedge_cert.net.anchors import Trust
from tedge_cert.net.failures import reason_of

# Alerts that name the certificate of the sender's peer (RFC 8446 §6.2), as OpenSSL spells them.
_ABOUT_OUR_CERTIFICATE = (
    "BAD_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
    # A signature that does not verify: it trusts an authority of the same name that has another key.
    "DECRYPT_ERROR",
)


# How ``refusal_in`` words them.
UNKNOWN_AUTHORITY, REVOKED = ("unknown ca", "decrypt error"), "certificate revoked"


class AlertSocket(ssl.SSLSocket):
    """A TLS socket that remembers the alert which ended it.

    In TLS 1.3 a server judges our certificate after our side of the handshake is done. So the alert arrives with the
    first read, inside a library, and the library for MQTT reports no more than a lost connection. If the server has
    closed before the request was written, there is no first read.
    """

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands as the base class does, and remember an alert about our certificate."""
        with self._alert_remembered():
            super().do_handshake(block)

    # ``recv`` and ``recv_into`` come here.
    def read(self, *arguments: Any, **options: Any) -> Any:
        """Read as the base class does, and remember an alert."""
        with self._alert_remembered():
            return super().read(*arguments, **options)

    def send(self, data: Any, flags: int = 0) -> int:
        """Write as the base class does; from a server that takes no more, read the alert that it sent before."""
        try:
            return super().send(data, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except (ssl.SSLError, ConnectionError):
            with suppress(OSError):
                self.recv(1)
            raise

    @contextmanager
    def _alert_remembered(self) -> Iterator[None]:
        try:
            yield
        except ssl.SSLError as error:
            context, said = self.context, refusal_in(error)
            # Only a server that proved its name can speak about our certificate.
            if said and isinstance(context, ClientContext) and self._server_is_verified():
                context.refusal = said
            raise

    def _server_is_verified(self) -> bool:
        # Python 3.13 has this as a method of the socket, 3.11 and 3.12 on the object beneath it.
        inner = getattr(self, "_sslobj", None)
        get_chain = getattr(self, "get_verified_chain", None) or getattr(inner, "get_verified_chain", None)
        return bool(get_chain and get_chain())


class ClientContext(ssl.SSLContext):
    """What a connection to a server needs; ``refusal`` is what the server said of our certificate, if it refused it.

    ``login`` is the user and password that we send within the connection when no certificate says who we are.
    ``server_name`` is the name that the server's certificate has to prove when the library names none.
    """

    sslsocket_class = AlertSocket
    refusal: str | None = None
    # The file of our certificate that it shows, if any.
    shown: Path | None = None
    login: Credentials | None = None
    server_name: str | None = None

    # urllib3 1.26 (Debian 12) gives no name when the host is an address, and then its certificate could not be checked.
    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        """Wrap ``sock`` as the base class does, with a server name in any case."""
        return super().wrap_socket(sock, *args, **self._with_server_name(options))

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **options: Any) -> ssl.SSLObject:
        """Wrap TLS within the TLS of a proxy, with a server name in any case."""
        return super().wrap_bio(incoming, outgoing, *args, **self._with_server_name(options))

    def _with_server_name(self, options: dict[str, Any]) -> dict[str, Any]:
        return options if options.get("server_hostname") else {**options, "server_hostname": self.server_name}


def client_context(
    trust: Trust, certificate: Path, key: Path, settings: tuple[str, str] | None = None
) -> ClientContext:
    """Make a context that verifies the server by ``trust`` and shows ``certificate`` (with its chain) and ``key``.

    TLS 1.2 at least, name checked. ``settings`` name the two files if they are not the device's own. Raises
    ConfigurationError or CertificateError.
    """
    context, is_in_tpm = verifying_context(trust), False
    try:
        # OpenSSL would wait for a pipe, and read a device for ever.
        files.read_regular(certificate, follow=True)
        is_in_tpm = b"-----BEGIN TSS2 PRIVATE KEY-----" in files.read_regular(key, follow=True)
        context.load_cert_chain(certificate, key)
        context.shown = certificate
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(
            f"cannot use {certificate} with the key {key}: {_why_unusable(error, settings, is_in_tpm)}"
        ) from error
    return context


def verifying_context(trust: Trust) -> ClientContext:
    """Make a context that verifies the server by ``trust`` and shows no certificate; raises ConfigurationError."""
    anchors.check(trust)
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    # openssl.cnf may allow older versions for other programs.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # As strict as mosquitto, which takes the same file for the bridge. Newer libraries add VERIFY_X509_STRICT.
    context.verify_flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST
    try:
        if trust.path.is_dir():
            context.load_verify_locations(capath=str(trust.path))
        else:
            context.load_verify_locations(cafile=str(trust.path))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"cannot read the trust anchors {trust.path}: {reason_of(error)}; expected a file or directory of "
            f"certificates in PEM ({trust.setting})"
        ) from error
    return context


def _why_unusable(error: OSError, settings: tuple[str, str] | None, is_in_tpm: bool) -> str:
    if isinstance(error, ssl.SSLError) and "VALUES_MISMATCH" in (error.reason or ""):
        # A certificate for the local broker is not the tenant's.
        last = "" if settings else f"; without a copy, {cures.register()} with a new one-time password makes a new pair"
        return f"the key is that of another certificate {cures.other_key(settings)}{last}"
    if isinstance(error, ssl.SSLError) and is_in_tpm:
        # OpenSSL says the same of all causes, or nothing.
        return f"the TPM does not answer, or does not have this key; {cures.command('reconnect')} names the cause"
    if isinstance(error, ssl.SSLError):
        return f"expected a certificate and a key in PEM, without a password; OpenSSL says: {reason_of(error)}"
    return reason_of(error)


def refusal_in(error: ssl.SSLError) -> str | None:
    """Return the alert in ``error`` in words if it is about our certificate."""
    alert = (error.reason or "").partition("ALERT_")[2]
    return alert.replace("_", " ").lower() if alert in _ABOUT_OUR_CERTIFICATE else None
