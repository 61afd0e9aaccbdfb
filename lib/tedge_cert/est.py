# SPDX-License-Identifier: Apache-2.0
"""Enrolment over Secure Transport: one request, and whatever servers answer to it (RFC 7030, RFC 8951)."""

import base64
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests
from cryptography import x509

from tedge_cert.deadline import bounded
from tedge_cert.errors import ConfigurationError, NoAnswerError, RequestRefusedError
from tedge_cert.pkcs7 import ELSEWHERE, LIMIT_BYTES, certificates_of

CONNECT_S = 20.0
READ_S = 30.0
DEADLINE_S = 60.0
# How much of a refusal is repeated to the reader.
QUOTED_CHARACTERS = 300
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
    fields = {
        "Content-Type": "application/pkcs10",
        "Content-Transfer-Encoding": "base64",
        "Accept": "application/pkcs7-mime",
        # A mebibyte that is compressed may hold a thousand of them.
        "Accept-Encoding": "identity",
        **(headers or {}),
    }
    try:
        with bounded(DEADLINE_S, "the whole request"):
            answer, content = _exchange(url, _wrapped(request), trust, fields, auth)
    except requests.exceptions.SSLError as error:
        raise NoAnswerError(_untrusted(url, trust, error)) from error
    # urllib3's own errors come through where the body is read, under no common base but Exception's HTTPError.
    except (OSError, requests.RequestException, _urllib3_error()) as error:
        raise NoAnswerError(f"no answer from {url}: {_reason(error)}; check the network and c8y.http") from error
    if answer.status_code not in (200, 201):
        raise _refused(url, answer, content)
    return certificates_of(content, url)


def _wrapped(der: bytes) -> bytes:
    """Base64 in lines of 64 with a final line break: servers exist that take nothing else."""
    text = base64.b64encode(der)
    return b"".join(text[at : at + 64] + b"\n" for at in range(0, len(text), 64))


class _Session(requests.Session):
    """A session that knows no redirects: even where none is followed, the library reads the whole body of one."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None, wherever the answer points to."""
        del resp
        return None


def _exchange(
    url: str, body: bytes, trust: Path, fields: dict[str, str], auth: tuple[str, str] | None
) -> tuple[requests.Response, bytes]:
    """Status and headers, and what was read of the body; no redirect is followed, no environment asked."""
    with _Session() as session:
        session.trust_env = False
        session.verify = str(trust)
        answer = session.post(
            url, body, headers=fields, auth=auth, timeout=(CONNECT_S, READ_S), allow_redirects=False, stream=True
        )
        content: bytes = answer.raw.read(LIMIT_BYTES + 1, decode_content=False)
        if len(content) <= LIMIT_BYTES and answer.raw.length_remaining:
            # urllib3 2 raises this itself, the one of Debian 12 does not.
            raise ConnectionError(f"the answer was cut off after {len(content)} bytes")
        return answer, content


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
        context = None if error.__suppress_context__ else error.__context__
        inner = error.__cause__ or context or getattr(error, "reason", None)
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
    # Nothing that would steer the terminal of whoever reads it.
    text = "".join(each if each.isprintable() else " " for each in content[:4096].decode("utf-8", "replace"))
    text = " ".join(text.split())[:QUOTED_CHARACTERS]
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
