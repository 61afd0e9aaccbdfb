# SPDX-License-Identifier: Apache-2.0
"""Ask the operator's own certificate authority for a certificate by EST (RFC 7030), and explain its refusals.

It is asked with certificates and passwords that it knows; no token is needed, so tenant, bridge and broker may be down.
"""

import shlex
import ssl
from collections.abc import Mapping

from cryptography import x509

from tedge_cert import journal
from tedge_cert.authority import answer_checks, est_wire
from tedge_cert.config import credentials
from tedge_cert.device.connections import EstAuthority, EstServer, KeyPair
from tedge_cert.errors import CertificateError, RequestRefusedError, TedgeCertError
from tedge_cert.net import https, tls
from tedge_cert.net.authorization import basic
from tedge_cert.net.https import BrokenExchangeError, HttpAnswer, Request
from tedge_cert.x509.certificate import Certificate
from tedge_cert.x509.client_identity import client_context

# Statuses by which an authority ends a request: a further one has to be another request.
FINAL = (400, 403)


def enrol(authority: EstAuthority, password: str, csr: bytes) -> list[x509.Certificate]:
    """Ask for a first certificate, with the factory certificate if there is one and the password if there is one.

    A password that belongs into the request is there already. Raises as ``reenrol`` does.
    """
    login = (authority.username, password) if password and authority.uses_basic else None
    return _certificates(authority.enrolment, est_wire.ENROL, csr, authority.factory, login, "the one-time password")


def reenrol(authority: EstAuthority, current: KeyPair, csr: bytes) -> list[x509.Certificate]:
    """Ask for a further certificate with the current one, and with user and password where the settings name them.

    Raises RequestRefusedError for any answer without certificates and for a refusal of the certificate shown,
    NoAnswerError without an answer, ConfigurationError for a file with user and password that cannot be used.
    """
    server, login = authority.renewal, None
    if authority.credentials_path is not None:
        found = credentials.load_for(authority.credentials_path, {server.setting: server.name}, "est")
        login = found.username, found.password
    return _certificates(server, est_wire.REENROL, csr, current, login, "the file that est.credentials_path names")


def with_chain(authority: EstAuthority, new: Certificate, current: Certificate | None) -> Certificate:
    """Return ``new`` with the certificates of its issuers: of the answer, the current chain, or what the server gives.

    The next renewal and the tenant need them, and most servers answer the leaf alone. They are never trusted. Without
    any, there is a warning and the leaf alone.
    """
    if new.chain or new.is_self_signed:
        return new
    known = [Certificate(each) for each in current.chain] if current else []
    found = answer_checks.with_chain_of(new, known)
    if found.chain:
        return found
    try:
        certificates = ca_certificates(authority.enrolment)
        found = answer_checks.with_chain_of(new, [Certificate(each) for each in certificates])
        missing = "" if found.chain else f"none that {authority.enrolment.host} gives has signed it"
    except TedgeCertError as error:
        missing = str(error)
    if missing:
        journal.warning(
            f"the new certificate comes without the one of its issuer, {new.issuer}: {missing}; so the tenant has to "
            "trust that issuer itself, and the next renewal may be refused: append its certificate to the new one"
        )
    return found


def ca_certificates(server: EstServer) -> list[x509.Certificate]:
    """Ask for the certificates of the authority; raises TedgeCertError."""
    answer = https.ask(server, request_of_ca_certificates(server))
    return est_wire.certificates_in(answer, _advice(answer, server, None, "", ""))


def request_of_ca_certificates(server: EstServer) -> Request:
    """Make a request that every EST server answers without credentials (RFC 7030 §4.1)."""
    return Request("GET", f"{server.base}/{est_wire.CA_CERTIFICATES}", {"Accept": "application/pkcs7-mime"})


def tell_changes(new: Certificate, current: Certificate, host: str) -> None:
    """Log what the authority changed in the name of the device; the next request repeats the new name."""
    if new.validity.subject != current.validity.subject:
        journal.info(f"the authority {host} changed the subject: it is {new.subject}, and was {current.subject}")
    if (names := new.alternative_names) != (before := current.alternative_names):
        journal.info(
            f"the authority {host} changed the alternative names: {names or 'none'}, before {before or 'none'}"
        )


def _certificates(
    server: EstServer, operation: str, csr: bytes, shown: KeyPair | None, login: tuple[str, str] | None, source: str
) -> list[x509.Certificate]:
    context = None
    if shown is not None:
        context = _context(server, shown)
        # Servers before an authority want a certificate for one address only, and ask for it late (RFC 8446 §4.6.2).
        context.post_handshake_auth = True
    request = est_wire.request_of(operation, csr, basic(*login) if login else None, server.base)
    try:
        answer = https.ask(server, request, context=context)
    except BrokenExchangeError as error:
        if said := _certificate_refused(error, server, shown):
            raise RequestRefusedError(f"{error}: {said}") from error
        raise
    advice = _advice(answer, server, shown, login[0] if login else "", source)
    return est_wire.certificates_in(answer, advice)


def _context(server: EstServer, shown: KeyPair) -> tls.ClientContext:
    """Make the TLS context; raises CertificateError, for a factory certificate with what lets user tedge read it."""
    try:
        return client_context(server.trust, shown.certificate, shown.key)
    except CertificateError as error:
        cause = error.__cause__
        if not isinstance(cause, PermissionError):
            raise
        # The certificate stays root's, because it lets the device register.
        is_key = cause.filename == str(shown.key)
        cure = f"sudo {'chown tedge' if is_key else 'chmod 644'} {shlex.quote(str(cause.filename))}"
        raise CertificateError(f"{error}; `{cure}` lets user tedge read it", cure) from error


def _certificate_refused(error: BrokenExchangeError, server: EstServer, shown: KeyPair | None) -> str:
    """Return what to do about an alert that refuses or misses our certificate; empty for any other error."""
    if shown is None:
        wants = isinstance(error.cause, ssl.SSLError) and "CERTIFICATE_REQUIRED" in (error.cause.reason or "")
        return f"the authority {server.host} wants a factory certificate: est.bootstrap.cert_path" if wants else ""
    if error.alert in tls.UNKNOWN_AUTHORITY:
        return f"the authority {server.host} does not know its issuer: is its chain in {shown.certificate}?"
    return f"see the log of the authority {server.host}, and {shown.certificate}" if error.alert else ""


def _advice(
    answer: HttpAnswer, server: EstServer, shown: KeyPair | None, username: str, source: str
) -> Mapping[int, str]:
    """Return, by status code, what a person can do about a refusal."""
    authority, text = f"the authority {server.host}", https.message_in(answer).lower()
    forbidden = f"{authority} does not allow it: see its rules for this device"
    if answer.content.lstrip().startswith(b"<"):
        forbidden = (
            f"something before {authority} answered, as it was no EST answer: does it ask for a certificate late, or "
            "is a portal or proxy in between?"
        )
    unreadable = f"{authority} could not read the request: see its log"
    if "subject" in text:
        unreadable = forbidden = (
            f"{authority} wants subject and alternative names of the certificate that was shown: what did it change?"
        )
    elif "attribute" in text:
        unreadable = f"{authority} wants attributes in requests that are not sent here: its operator can allow that"
    return {
        202: f"the request waits for approval at {authority}, and is sent again",
        400: unreadable,
        401: _unauthorized(authority, answer, text, shown, username, source),
        403: forbidden,
        404: f"there is no EST at that address: {server.setting} has to end before the operation (/simpleenroll)",
        429: f"{authority} is busy: ask again later",
    }


def _unauthorized(
    authority: str, answer: HttpAnswer, text: str, shown: KeyPair | None, username: str, source: str
) -> str:
    challenge = (answer.headers.get("WWW-Authenticate") or "").lower()
    if "proof of possession" in text:
        return (
            f"{authority} wants the request bound to the TLS connection (RFC 7030 section 3.5), which TLS 1.3 cannot "
            "do: its operator has to end that"
        )
    if "digest" in challenge and "basic" not in challenge:
        return f"{authority} wants HTTP Digest, which is not spoken here: its operator can allow HTTP Basic"
    if username:
        return f"{authority} does not take user {username} with this password"
    if shown is not None and "basic" in challenge:
        return f"{authority} wants user and password too: give them in {source}"
    return f"{authority} does not take {shown.certificate if shown else 'a request without a certificate'}"
