# SPDX-License-Identifier: Apache-2.0
"""One HTTPS request to the tenant, with every wait bounded, and what it means when it is not answered as hoped."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from tedge_cert import journal
from tedge_cert.errors import NoAnswerError, RequestRefusedError
from tedge_cert.net import anchors
from tedge_cert.net.proxy import Proxy
from tedge_cert.net.resolver import reaching
from tedge_cert.net.retry_after import compare_clock, retry_after_s, seconds_of
from tedge_cert.net.tls_errors import explain, explain_other_name

CONNECT_S = 20.0
READ_S = 30.0
DEADLINE_S = 60.0
LIMIT_BYTES = 1 << 20
# How much of a refusal is repeated to the reader.
QUOTED_CHARACTERS = 300
ELSEWHERE = "check that c8y.http names the tenant, and that no portal or proxy answers in its place"


@dataclass(frozen=True)
class Answer:
    """What came back: of the body one byte more than ``LIMIT_BYTES`` at most."""

    url: str
    status: int
    reason: str
    headers: Mapping[str, str]
    content: bytes


def ask(
    method: str, url: str, trust: Path, headers: Mapping[str, str], body: bytes = b"", proxy: Proxy | None = None
) -> Answer:
    """Send one request, whatever is answered to it; no redirect is followed, no environment asked.

    Raises NoAnswerError when there was no whole answer, ConfigurationError without trust anchors.
    """
    answer = _ask(method, url, trust, headers, body, proxy)
    compare_clock(urlsplit(url).netloc, answer.headers.get("Date"))
    return answer


def time_of(host: str, trust: Path, proxy: Proxy | None = None) -> float | None:
    """What the clock of the tenant says, in seconds since the epoch; None if it cannot be had. It is told nothing."""
    try:
        answer = _ask("GET", f"https://{host}/tenant/loginOptions", trust, {}, b"", proxy)
    except NoAnswerError as error:
        journal.debug(f"the time of {host} is not known: {error}")
        return None
    return seconds_of(answer.headers.get("Date"))


def _ask(method: str, url: str, trust: Path, headers: Mapping[str, str], body: bytes, proxy: Proxy | None) -> Answer:
    anchors.check(trust)
    # A mebibyte that is compressed may hold a thousand of them.
    fields = {"Accept-Encoding": "identity", **headers}
    with failures_explained(url, trust, proxy), reaching(DEADLINE_S, "the whole request"):
        return _exchange(method, url, trust, fields, body, proxy)


@contextmanager
def failures_explained(url: str, trust: Path, proxy: Proxy | None) -> Iterator[None]:
    """Turn whatever can go wrong between us and an answer from ``url`` into NoAnswerError, in prose."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise NoAnswerError(f"cannot speak TLS with {url}: {_why_no_tls(url, trust, error)}") from error
    except requests.exceptions.ProxyError as error:
        said = proxy.explain(reason_of(error)) if proxy else reason_of(error)
        raise NoAnswerError(f"no answer from {url}: {said}") from error
    # urllib3's own errors come through where the body is read, under no common base but Exception's HTTPError.
    except (OSError, requests.RequestException, urllib3_error()) as error:
        way = f" by the proxy {proxy.address}" if proxy else ""
        check = "the network, proxy.address and c8y.http" if proxy else "the network and c8y.http"
        raise NoAnswerError(f"no answer from {url}{way}: {reason_of(error)}; check {check}") from error


class _Tunnel(HTTPAdapter):
    """What tells the proxy who asks; in its address, every message that names that would name the password."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        self._proxy = proxy

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """The header of RFC 9110 §11.7.2, for whichever address the library asks."""
        del proxy
        return self._proxy.headers


class Session(requests.Session):
    """A session that knows no environment, and no redirects: of one, the library would read the whole body."""

    def __init__(self, proxy: Proxy | None) -> None:
        super().__init__()
        self.trust_env = False
        if proxy is not None:
            self.proxies = {"https": proxy.address}
            self.mount("https://", _Tunnel(proxy))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None, wherever the answer points to."""
        del resp
        return None


def _exchange(method: str, url: str, trust: Path, fields: dict[str, str], body: bytes, proxy: Proxy | None) -> Answer:
    with Session(proxy) as session:
        session.verify = str(trust)
        answer = session.request(
            method,
            url,
            data=body or None,
            headers=fields,
            timeout=(CONNECT_S, READ_S),
            allow_redirects=False,
            stream=True,
        )
        content: bytes = answer.raw.read(LIMIT_BYTES + 1, decode_content=False)
        if len(content) <= LIMIT_BYTES and answer.raw.length_remaining:
            # urllib3 2 raises this itself, the one of Debian 12 does not.
            raise ConnectionError(f"the answer was cut off after {len(content)} bytes")
        return Answer(url, answer.status_code, answer.reason or "", answer.headers, content)


def urllib3_error() -> type[Exception]:
    """The base of what the transport raises of its own, which requests lets through where a body is read."""
    from urllib3.exceptions import HTTPError

    return HTTPError


def _why_no_tls(url: str, trust: Path, error: Exception) -> str:
    inner = _innermost(error)
    server = urlsplit(url).netloc
    # urllib3 of Debian 12 compares the names itself, and has an error of its own for that.
    return explain(inner, server, trust) if isinstance(inner, ssl.SSLError) else explain_other_name(server, str(inner))


def reason_of(error: BaseException) -> str:
    """The innermost cause, which is what a person can act on."""
    inner = _innermost(error)
    return str(inner) or type(inner).__name__


def _innermost(error: BaseException) -> BaseException:
    while True:
        context = None if error.__suppress_context__ else error.__context__
        inner = error.__cause__ or context or getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            return error
        error = inner


def refusal(answer: Answer, advice: Mapping[int, str]) -> RequestRefusedError:
    """An answer that is not what was asked for, as an error to be raised; ``advice`` is by status code."""
    # A date is theirs, so it is measured by their clock.
    retry = retry_after_s(answer.headers.get("Retry-After"), seconds_of(answer.headers.get("Date")))
    reason, place = (each[:QUOTED_CHARACTERS] for each in (answer.reason, answer.headers.get("Location", "nowhere")))
    parts = [f"{answer.url} answered {answer.status} {reason}".rstrip()]
    if 300 <= answer.status < 400:
        parts.append(f"to go to {place}, which is not followed")
    if retry is not None:
        parts.append(f"to be asked again in {retry} s")
    text = " ".join(answer.content[:4096].decode("utf-8", "replace").split())[:QUOTED_CHARACTERS]
    if text:
        parts.append(text)
    otherwise = "the tenant is out of order: ask again later" if answer.status >= 500 else ELSEWHERE
    return RequestRefusedError(f"{': '.join(parts)}; {advice.get(answer.status, otherwise)}", answer.status, retry)
