# SPDX-License-Identifier: Apache-2.0
"""Enrolment over Secure Transport on the wire: a request, and the certificates in the answer (RFC 7030, RFC 8951)."""

import base64
from collections.abc import Mapping

from cryptography import x509

from tedge_cert.errors import RequestRefusedError, WaitsForApprovalError
from tedge_cert.net import https
from tedge_cert.net.https import LIMIT_BYTES, HttpAnswer, Request
from tedge_cert.x509 import pkcs7

# RFC 7030 §4.2.1 and §4.2.2.
ENROL, REENROL, CA_CERTIFICATES = "simpleenroll", "simplereenroll", "cacerts"
BASE = "/.well-known/est"
# Characters of an answer without certificates that the message quotes.
_QUOTED_BYTES = 60


def request_of(operation: str, csr: bytes, headers: Mapping[str, str] | None = None, base: str = BASE) -> Request:
    """Make the request for ``operation`` below ``base`` with ``csr`` in DER; ``headers`` authenticate it."""
    fields = {
        "Content-Type": "application/pkcs10",
        "Content-Transfer-Encoding": "base64",
        "Accept": "application/pkcs7-mime",
        **(headers or {}),
    }
    return Request("POST", f"{base}/{operation}", fields, _base64_lines(csr))


def certificates_in(answer: HttpAnswer, advice: Mapping[int, str]) -> list[x509.Certificate]:
    """Read the certificates of ``answer`` in its order; raises RequestRefusedError for an answer without any.

    ``advice`` is by status code. An answer that a person has yet to approve the request is a WaitsForApprovalError.
    """
    if answer.status == 202:
        waits = https.refusal(answer, advice)
        raise WaitsForApprovalError(str(waits), waits.status, waits.retry_after_s)
    if answer.status not in (200, 201):
        raise https.refusal(answer, advice)
    content = answer.content
    if len(content) > LIMIT_BYTES:
        raise _useless(answer, f"more than {LIMIT_BYTES} bytes, expected a certificate")
    if not content.strip():
        raise _useless(answer, "with an empty body, expected a certificate")
    try:
        found = pkcs7.certificates_of(content)
    except ValueError as error:
        start = " ".join(content[:_QUOTED_BYTES].decode("latin-1").split())
        raise _useless(answer, f"with something that is no certificate ({error}); it begins {start!r}") from error
    if not found:
        raise _useless(answer, "with a PKCS#7 message that holds no certificate")
    return found


def _useless(answer: HttpAnswer, what: str) -> RequestRefusedError:
    return RequestRefusedError(f"{answer.url} answered {what}; {answer.server.elsewhere}")


def _base64_lines(der: bytes) -> bytes:
    """Encode in lines of 64 with a final line break, because some servers accept nothing else."""
    text = base64.b64encode(der)
    return b"".join(text[at : at + 64] + b"\n" for at in range(0, len(text), 64))
