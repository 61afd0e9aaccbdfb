# SPDX-License-Identifier: Apache-2.0
"""One HTTPS request to the tenant with a token, and its whole answer or none."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO
from urllib.parse import quote

import requests

from tedge_cert.config.credentials import Credentials
from tedge_cert.errors import NoAnswerError, TedgeCertError
from tedge_cert.net import anchors
from tedge_cert.net.authorization import authorization, is_token
from tedge_cert.net.https import Session, failures_explained
from tedge_cert.net.proxy import Proxy
from tedge_cert.net.resolver import reaching

CONNECT_S = 20.0
READ_S = 60.0
# What is more goes to a temporary file.
IN_MEMORY_BYTES = 1 << 20
CHUNK_BYTES = 1 << 16
# What a path may consist of and go out as it is: RFC 3986 §3.3 and §3.4, and whatever is encoded already.
UNTOUCHED = "%/:?@!$&'()*+,;=-._~"


@dataclass(frozen=True)
class Request:
    """What is asked; ``path`` begins with a slash, and a query may follow; ``body`` may be a file."""

    method: str
    path: str
    body: bytes | Path | None = None
    content_type: str | None = None
    accept: str | None = None


@dataclass(frozen=True)
class Answer:
    """What came back; ``body`` stands at its beginning, and is closed by whoever has read it."""

    status: int
    reason: str
    location: str
    body: IO[bytes]


def send(
    host: str, request: Request, who: str | Credentials, trust: Path, timeout_s: float, proxy: Proxy | None = None
) -> Answer:
    """Send ``request`` to ``host``; raises NoAnswerError when no whole answer came within ``timeout_s``.

    ``who`` asks by a token, or by user and password.
    """
    if isinstance(who, str) and not is_token(who):
        # Whoever refuses such a header would print it.
        raise NoAnswerError(f"the token for {host} is malformed; ask again")
    anchors.check(trust)
    url = url_of(host, request.path)
    with failures_explained(url, trust, proxy), reaching(timeout_s, "the whole request"):
        return _exchange(url, request, who, trust, proxy)


def url_of(host: str, path: str) -> str:
    """The address of ``path``; what is percent-encoded stays so, what has to be becomes so."""
    return f"https://{host}{quote(path, safe=UNTOUCHED)}"


def _exchange(url: str, request: Request, who: str | Credentials, trust: Path, proxy: Proxy | None) -> Answer:
    """No redirect is followed, and no environment is asked."""
    fields = {**authorization(who), "Accept-Encoding": "identity", "Accept": request.accept or "*/*"}
    if request.content_type is not None:
        fields["Content-Type"] = request.content_type
    with Session(proxy) as session, _opened(request.body) as content:
        prepared = session.prepare_request(requests.Request(request.method, url, fields, data=content))
        # The library would decode what need not be encoded.
        prepared.url = url
        answer = session.send(
            prepared,
            verify=str(trust),
            timeout=(CONNECT_S, READ_S),
            allow_redirects=False,
            stream=True,
            proxies=session.proxies,
        )
        return Answer(answer.status_code, answer.reason or "", answer.headers.get("Location", ""), _body_of(answer))


@contextmanager
def _opened(body: bytes | Path | None) -> Iterator[bytes | IO[bytes] | None]:
    """A body as the library takes it; a file is sent in parts."""
    if not isinstance(body, Path):
        yield body
        return
    try:
        file = body.open("rb")
    except OSError as error:
        raise TedgeCertError(f"cannot read {body}: {error.strerror}; expected a file to send") from error
    with file:
        yield file


def _body_of(answer: requests.Response) -> IO[bytes]:
    body: IO[bytes] = SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 (it is handed on)
    size = 0
    while chunk := answer.raw.read(CHUNK_BYTES, decode_content=False):
        body.write(chunk)
        size += len(chunk)
    if answer.raw.length_remaining:
        # urllib3 2 raises this itself, the one of Debian 12 does not.
        raise ConnectionError(f"the answer was cut off after {size} bytes")
    body.seek(0)
    return body
