# SPDX-License-Identifier: Apache-2.0
"""Enrolment over Secure Transport: one request, and whatever servers answer to it (RFC 7030, RFC 8951)."""

import base64
from pathlib import Path

from cryptography import x509

from tedge_cert.config.credentials import Credentials
from tedge_cert.net import https
from tedge_cert.net.authorization import authorization, basic
from tedge_cert.net.https import ELSEWHERE
from tedge_cert.net.proxy import Proxy
from tedge_cert.x509.pkcs7 import certificates_of

ADVICE = {
    202: "the request waits for approval in the tenant",
    400: "the tenant could not read the request: see its certificate authority",
    401: "the tenant does not take the password or token: register the device, or see whether it was disabled",
    403: "the tenant does not allow it: is its feature certificate-authority on, and the device allowed to use it?",
    404: f"there is no such service: is the feature certificate-authority on? {ELSEWHERE}",
    429: "the tenant is busy: ask again later",
}


def enrol(
    host: str, device_id: str, password: str, request: bytes, trust: Path, proxy: Proxy | None = None
) -> list[x509.Certificate]:
    """First certificate of a device, for a one-time password (RFC 7030 §4.2.1)."""
    return _post(f"https://{host}/.well-known/est/simpleenroll", request, trust, basic(device_id, password), proxy)


def reenrol(
    host: str, who: str | Credentials, request: bytes, trust: Path, proxy: Proxy | None = None
) -> list[x509.Certificate]:
    """A further certificate, for a token obtained with the current one (RFC 7030 §4.2.2), or user and password."""
    url = f"https://{host}/.well-known/est/simplereenroll"
    return _post(url, request, trust, authorization(who), proxy)


def _post(
    url: str, request: bytes, trust: Path, credentials: dict[str, str], proxy: Proxy | None
) -> list[x509.Certificate]:
    """Send the CSR (DER) to ``url``; the certificates of the answer in its order.

    Raises NoAnswerError when there was none, RequestRefusedError for any answer without certificates.
    """
    fields = {
        "Content-Type": "application/pkcs10",
        "Content-Transfer-Encoding": "base64",
        "Accept": "application/pkcs7-mime",
        **credentials,
    }
    answer = https.ask("POST", url, trust, fields, _wrapped(request), proxy)
    if answer.status not in (200, 201):
        raise https.refusal(answer, ADVICE)
    return certificates_of(answer.content, url)


def _wrapped(der: bytes) -> bytes:
    """Base64 in lines of 64 with a final line break: servers exist that take nothing else."""
    text = base64.b64encode(der)
    return b"".join(text[at : at + 64] + b"\n" for at in range(0, len(text), 64))
