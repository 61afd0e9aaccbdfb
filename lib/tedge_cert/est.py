# SPDX-License-Identifier: Apache-2.0
"""Enrolment over Secure Transport: one request, and whatever servers answer to it (RFC 7030, RFC 8951)."""

import base64
import binascii
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests
from asn1crypto import cms
from cryptography import x509

from tedge_cert.certificate import from_der
from tedge_cert.deadline import bounded
from tedge_cert.errors import ConfigurationError, NoAnswerError, RequestRefusedError

CONNECT_S = 20.0
READ_S = 30.0
DEADLINE_S = 60.0
LIMIT_BYTES = 1 << 20
# How much of a refusal is repeated to the reader.
QUOTED_CHARACTERS = 300
ELSEWHERE = "check that c8y.http names the tenant, and that no portal or proxy answers in its place"
ADVICE = {
    202: "the request waits for approval in the tenant",
    400: "the tenant could not read the request: see its certificate authority",
    401: "the tenant does not take the password or token: register the device, or see whether it was disabled",
    403: "the tenant does not allow it: is its feature certificate-authority on, and the device allowed to use it?",
    404: f"there is no such service: is the feature certificate-authority on? {ELSEWHERE}",
    429: "the tenant is busy: ask again later",
}


def enrol(host: str, device_id: str, password: str, request: bytes, trust: Path) -> list[x509.Certificate]:
    """First certificate of a device, for a one-time password (RFC 7030 §4.2.1)."""
    url = f"https://{host}/.well-known/est/simpleenroll"
    return _post(url, request, trust, auth=(device_id, password))


def reenrol(host: str, token: str, request: bytes, trust: Path) -> list[x509.Certificate]:
    """A further certificate, for a token obtained with the current one (RFC 7030 §4.2.2)."""
    url = f"https://{host}/.well-known/est/simplereenroll"
    return _post(url, request, trust, headers={"Authorization": f"Bearer {token}"})


def _post(
    url: str,
    request: bytes,
    trust: Path,
    auth: tuple[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> list[x509.Certificate]:
    """Send the CSR (DER) to ``url``; the certificates of the answer in its order.

    Raises NoAnswerError when there was none, RequestRefusedError for any answer without certificates.
    """
    if not trust.exists():
        raise ConfigurationError(
            f"there is no {trust}, expected the trust anchors of the tenant there: set c8y.root_cert_path to a file or "
            "directory of certificates in PEM"
        )
    session = requests.Session()
    session.trust_env = False
    session.verify = str(trust)
    body = base64.encodebytes(request).replace(b"\n", b"")
    wrapped = b"".join(body[at : at + 64] + b"\n" for at in range(0, len(body), 64))
    fields = {
        "Content-Type": "application/pkcs10",
        "Content-Transfer-Encoding": "base64",
        "Accept": "application/pkcs7-mime",
        # A mebibyte that is compressed may hold a thousand of them.
        "Accept-Encoding": "identity",
        **(headers or {}),
    }
    try:
        with bounded(DEADLINE_S, "the whole request"), session:
            answer = session.post(
                url,
                wrapped,
                headers=fields,
                auth=auth,
                timeout=(CONNECT_S, READ_S),
                allow_redirects=False,
                stream=True,
            )
            content: bytes = answer.raw.read(LIMIT_BYTES + 1, decode_content=False)
            if len(content) <= LIMIT_BYTES and answer.raw.length_remaining:
                # urllib3 2 raises this itself, the one of Debian 12 does not.
                raise ConnectionError(f"the answer was cut off after {len(content)} bytes")
    except requests.exceptions.SSLError as error:
        raise NoAnswerError(_untrusted(url, trust, error)) from error
    # urllib3's own errors come through where the body is read, under no common base but Exception's HTTPError.
    except (OSError, requests.RequestException, _urllib3_error()) as error:
        raise NoAnswerError(f"no answer from {url}: {_reason(error)}; check the network and c8y.http") from error
    if answer.status_code not in (200, 201):
        raise _refused(url, answer, content)
    return certificates_of(content, url)


def _urllib3_error() -> type[Exception]:
    from urllib3.exceptions import HTTPError

    return HTTPError


def _untrusted(url: str, trust: Path, error: Exception) -> str:
    return (
        f"cannot speak TLS with {url}: {_reason(error)}; expected a server that the trust anchors in {trust} vouch "
        "for: set c8y.root_cert_path to the file or directory with the tenant's root certificate"
    )


def _reason(error: BaseException) -> str:
    """The innermost cause, which is what a person can act on."""
    while True:
        inner = error.__cause__ or error.__context__ or getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    return str(error) or type(error).__name__


def _refused(url: str, answer: requests.Response, content: bytes) -> RequestRefusedError:
    retry = retry_after_s(answer.headers.get("Retry-After"))
    parts = [f"{url} answered {answer.status_code} {answer.reason or ''}".rstrip()]
    if 300 <= answer.status_code < 400:
        parts.append(f"to go to {answer.headers.get('Location', 'nowhere')}, which is not followed")
    if retry is not None:
        parts.append(f"to be asked again in {retry} s")
    text = " ".join(content[:4096].decode("utf-8", "replace").split())[:QUOTED_CHARACTERS]
    if text:
        parts.append(text)
    otherwise = "the tenant is out of order: ask again later" if answer.status_code >= 500 else ELSEWHERE
    return RequestRefusedError(f"{': '.join(parts)}; {ADVICE.get(answer.status_code, otherwise)}", answer.status_code)


def retry_after_s(value: str | None, now_s: float | None = None) -> int | None:
    """Seconds asked for by a ``Retry-After`` header, given in seconds or as a date (RFC 9110 §10.2.3)."""
    if value is None:
        return None
    try:
        if value.strip().isdecimal():
            return int(value)
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    # A zone of -0000 is UTC without a word about where the server is (RFC 5322 §3.3).
    begins_s = date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    return max(0, round(begins_s - (time.time() if now_s is None else now_s)))


def certificates_of(content: bytes, source: str) -> list[x509.Certificate]:
    """The certificates of an answer's body; the bytes are believed, not the Content-Type.

    PEM under any label, DER, or base64 of DER in any shape; each a certificate or a PKCS#7 "certs-only" message
    in DER or BER. Raises RequestRefusedError that says what came instead.
    """
    if len(content) > LIMIT_BYTES:
        raise RequestRefusedError(
            f"{source} answered more than {LIMIT_BYTES} bytes, expected a certificate; {ELSEWHERE}"
        )
    if not content.strip():
        raise RequestRefusedError(f"{source} answered with an empty body, expected a certificate; {ELSEWHERE}")
    try:
        found = [each for block in _der_blocks(content) for each in _certificates_of_der(block)]
    except (ValueError, TypeError) as error:
        start = " ".join(content[:60].decode("latin-1").split())
        raise RequestRefusedError(
            f"{source} answered with something that is no certificate ({error}); it begins {start!r}; {ELSEWHERE}"
        ) from error
    if not found:
        raise RequestRefusedError(f"{source} answered with a PKCS#7 message that holds no certificate")
    return found


def _der_blocks(content: bytes) -> list[bytes]:
    if b"-----BEGIN " in content:
        parts = content.split(b"-----BEGIN ")[1:]
        return [binascii.a2b_base64(part.partition(b"-----")[2].partition(b"-----END")[0]) for part in parts]
    if content[:1] == b"\x30":
        return [content]
    # Servers end the text with a line break, with CR LF, with a NUL byte, or with nothing.
    text = bytes(each for each in content if each not in b" \t\r\n\0")
    return [base64.b64decode(text, validate=True)]


def _certificates_of_der(der: bytes) -> list[x509.Certificate]:
    message = cms.ContentInfo.load(der) if _is_content_info(der) else None
    if message is None:
        return [from_der(der)]
    if message["content_type"].native != "signed_data":
        raise ValueError("PKCS#7, but not of certificates")
    return [from_der(each.chosen.dump()) for each in message["content"]["certificates"] or []]


def _is_content_info(der: bytes) -> bool:
    """Whether the outer SEQUENCE begins with an object identifier (RFC 5652 §3); a certificate's does not."""
    if len(der) < 3 or der[0] != 0x30:
        raise ValueError("not ASN.1")
    header = 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)
    return der[header : header + 1] == b"\x06"
