# SPDX-License-Identifier: Apache-2.0
"""The HTTPS client: send one request with a limit on every wait, and explain an answer that is no success."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from urllib3.exceptions import HTTPError

from tedge_cert import VERSION, journal
from tedge_cert.errors import NoAnswerError, RequestRefusedError
from tedge_cert.net import server_clock, trace
from tedge_cert.net.failures import innermost, reason_of
from tedge_cert.net.http_library import HTTPAdapter, requests
from tedge_cert.net.resolver import reaching
from tedge_cert.net.retry_after import retry_after_s
from tedge_cert.net.server import Server
from tedge_cert.net.tls import ClientContext, verifying_context
from tedge_cert.net.tls_errors import explain

CONNECT_S = 20.0
READ_S = 30.0
DEADLINE_S = 60.0
LIMIT_BYTES = 1 << 20
CHUNK_BYTES = 1 << 16
# Characters of a refusal that the message quotes.
QUOTED_CHARACTERS = 300

# There is no such name; a name server that does not answer is EAI_AGAIN (getaddrinfo(3)).
_NO_HOST = (socket.EAI_NONAME, socket.EAI_NODATA)

Sink = Callable[[bytes], object]


@dataclass(frozen=True)
class Request:
    """A request; ``path`` begins with a slash and may have a query; ``body`` may be an open file."""

    method: str
    path: str
    # They hold credentials, so ``repr`` leaves them out.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | BinaryIO | None = None


@dataclass(frozen=True)
class Limits:
    """Bounds of one request: TCP and TLS, each wait for bytes, all of it, and the body of the answer."""

    connect_s: float
    read_s: float
    whole_s: float
    body_bytes: int


@dataclass(frozen=True)
class HttpAnswer:
    """An answer; a body that is longer than its limit is cut one byte after the limit."""

    server: Server
    url: str
    status: int
    reason: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is one of success (RFC 9110 §15.3)."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Parse the body; raises ValueError."""
        try:
            return json.loads(self.content)
        except RecursionError as error:
            raise ValueError("the JSON is nested too deeply") from error


class BrokenExchangeError(NoAnswerError):
    """No whole answer came; ``cause`` is the innermost error, ``alert`` the TLS alert that refused our certificate."""

    def __init__(self, message: str, cause: BaseException, alert: str = "") -> None:
        super().__init__(message)
        self.cause = cause
        self.alert = alert


class WrongServerError(BrokenExchangeError):
    """The server has no address, or is not trusted: asking again would change nothing, its settings have to."""


def ask(
    server: Server,
    request: Request,
    limits: Limits | None = None,
    context: ClientContext | None = None,
    sink: Sink | None = None,
    compares_clock: bool = True,
) -> HttpAnswer:
    """Send one request and return the answer with any status; follow no redirect, read no environment.

    ``context`` shows a certificate of ours. ``sink`` takes the body of a success in chunks; a body of one chunk reaches
    it whole or not at all, and of a longer one that is cut off it gets the beginning.
    Raises BrokenExchangeError when there was no whole answer, ConfigurationError without trust anchors.
    """
    limits = limits or Limits(CONNECT_S, READ_S, DEADLINE_S, LIMIT_BYTES)
    context = context or verifying_context(server.trust)
    context.server_name, context.refusal = server.name, None
    url = server.url_of(request.path)
    trace.sent(request.method, url, request.headers, request.body)
    try:
        with reaching(limits.whole_s, "the whole request"), _Session(server, context) as session:
            answer = _exchange(session, server, url, request, limits, sink)
    except TimeoutError as error:
        raise _no_answer(server, url, error) from error
    except BrokenExchangeError as error:
        if context.refusal is None:
            raise
        # In TLS 1.3 the alert comes with the first read, as an error of any kind.
        said = f"{url} refused the certificate of this device (TLS alert: {context.refusal})"
        raise BrokenExchangeError(said, error.cause, context.refusal) from error
    trace.received(answer.status, answer.reason, answer.headers, answer.content, request.headers)
    if compares_clock:
        server_clock.compare(server.host, answer.headers)
    return answer


class _Adapter(HTTPAdapter):
    """Connections that verify the server by our context, and authenticate to the proxy.

    The library would make a context by openssl.cnf, which may allow TLS 1.1; from Python 3.13 on also a strict one, by
    which chains are refused that the bridge takes. The library of Debian 12 adds the system's anchors to our context,
    unless ``ca_certs`` is None. A password in the address of the proxy would be in every message that names the proxy.
    """

    def __init__(self, server: Server, context: ClientContext) -> None:
        self._server = server
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> Any:
        """Make the pool with our context."""
        return super().init_poolmanager(*args, ssl_context=self._context, ca_certs=None, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Make the pool of a tunnel, with a context of its own for a proxy that speaks TLS."""
        way = self._server.proxy
        if way is not None and way.speaks_tls:
            options["proxy_ssl_context"] = verifying_context(self._server.trust)
            options["proxy_ssl_context"].server_name = urlsplit(way.address).hostname
        return super().proxy_manager_for(proxy, ssl_context=self._context, ca_certs=None, **options)

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """Return the header of RFC 9110 §11.7.2."""
        del proxy
        return self._server.proxy.headers if self._server.proxy else {}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave the anchors to our context, which asks for a certificate; the library would add its own to them."""
        del conn, url, verify, cert


class _Session(requests.Session):
    """A session that reads no environment and follows no redirect; the library would read a redirect's whole body."""

    def __init__(self, server: Server, context: ClientContext) -> None:
        super().__init__()
        self.trust_env = False
        self.shows_certificate = context.shown is not None
        self.mount("https://", _Adapter(server, context))
        if server.proxy is not None:
            self.proxies = {"https": server.proxy.address}

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return None, so that no redirect is followed."""
        del resp
        return None


def _exchange(
    session: _Session, server: Server, url: str, request: Request, limits: Limits, sink: Sink | None
) -> HttpAnswer:
    # A compressed mebibyte may expand to a gibibyte, so no compression is asked for.
    fields = {
        "User-Agent": f"tedge-cert-renewer/{VERSION}",
        "Accept-Encoding": "identity",
        **request.headers,
    }
    with _failures_explained(server, url, session.shows_certificate):
        prepared = session.prepare_request(
            requests.Request(request.method, url, fields, data=_from_its_start(request.body))
        )
        # The library would decode characters that need no percent-encoding.
        prepared.url = url
        answer = session.send(
            prepared,
            timeout=(limits.connect_s, limits.read_s),
            allow_redirects=False,
            stream=True,
            proxies=session.proxies,
        )
    is_streamed = sink is not None and 200 <= answer.status_code < 300
    content = b"" if is_streamed else _chunk(answer, server, url, limits.body_bytes + 1)
    if sink is not None and is_streamed:
        _stream(answer, server, url, limits.body_bytes, sink)
    elif len(content) <= limits.body_bytes:
        _refuse_cut_off(answer, server, url, len(content))
    return HttpAnswer(server, url, answer.status_code, answer.reason or "", answer.headers, content)


def _stream(answer: requests.Response, server: Server, url: str, limit_bytes: int, sink: Sink) -> None:
    size, held = 0, b""
    while chunk := _chunk(answer, server, url, CHUNK_BYTES):
        size += len(chunk)
        if size + (answer.raw.length_remaining or 0) > limit_bytes:
            raise RequestRefusedError(f"{url} answered more than {limit_bytes} bytes, which are not taken")
        if held:
            sink(held)
        held = chunk
    _refuse_cut_off(answer, server, url, size)
    sink(held)


def _chunk(answer: requests.Response, server: Server, url: str, size_bytes: int) -> bytes:
    with _failures_explained(server, url):
        chunk: bytes = answer.raw.read(size_bytes, decode_content=False)
        return chunk


def _refuse_cut_off(answer: requests.Response, server: Server, url: str, size: int) -> None:
    # urllib3 2 raises this itself; urllib3 1.26 (Debian 12) does not.
    if answer.raw.length_remaining:
        raise _no_answer(server, url, ConnectionError(f"the answer was cut off after {size} bytes"))


def _from_its_start(body: bytes | BinaryIO | None) -> bytes | BinaryIO | None:
    """Give a body as the library takes it; a file is sent in parts, and once more for a second request."""
    if body is not None and not isinstance(body, bytes):
        body.seek(0)
    return body or None


@contextmanager
def _failures_explained(server: Server, url: str, shows_certificate: bool = False) -> Iterator[None]:
    """Turn every failure to get an answer from ``url`` into a BrokenExchangeError that a person can read."""
    try:
        yield
    # urllib3's own errors come through where a body is read; requests has no common base with them.
    except (OSError, requests.RequestException, HTTPError) as error:
        raise _no_answer(server, url, error, shows_certificate) from error


def _no_answer(server: Server, url: str, error: BaseException, shows_certificate: bool = False) -> BrokenExchangeError:
    cause, way = innermost(error), server.proxy
    reason = reason_of(cause)
    if isinstance(cause, ssl.SSLError):
        # urllib3 1.26 (Debian 12) does not say whether TLS with the server or with the proxy failed.
        other = f" or the proxy {way.address}" if way and way.speaks_tls else ""
        reason = explain(cause, f"{server.host}{other}", server.trust, shows_certificate)
        untrusted = isinstance(cause, ssl.SSLCertVerificationError)
        kind = WrongServerError if untrusted else BrokenExchangeError
        return kind(f"cannot speak TLS with {url}: {reason}", cause)
    if isinstance(error, requests.exceptions.ProxyError) and way is not None:
        return BrokenExchangeError(f"no answer from {url}: {way.explain(reason)}", cause)
    by, check = (f" by the proxy {way.address}", "the network, proxy.address and") if way else ("", "the network and")
    kind = WrongServerError if isinstance(cause, socket.gaierror) and cause.errno in _NO_HOST else BrokenExchangeError
    return kind(f"no answer from {url}{by}: {reason}; check {check} {server.setting}", cause)


def refusal(
    answer: HttpAnswer, advice: Mapping[int, str], quoted_characters: int = QUOTED_CHARACTERS
) -> RequestRefusedError:
    """Make the error for an answer that is not what was asked for; ``advice`` is by status code."""
    # The server wrote the date by its own clock, so the seconds are counted from that.
    retry = retry_after_s(answer.headers.get("Retry-After"), server_clock.time_of(answer.headers))
    reason, place = (_quoted(each, QUOTED_CHARACTERS) for each in (answer.reason, answer.headers.get("Location", "")))
    parts = [f"{answer.url} answered {answer.status} {reason}".rstrip()]
    if 300 <= answer.status < 400:
        parts.append(f"to go to {place or 'nowhere'}, which is not followed")
    if retry is not None:
        parts.append(f"to be asked again in {retry} s")
    if text := message_in(answer, quoted_characters):
        parts.append(text)
    otherwise = "the server is out of order: ask again later" if answer.status >= 500 else answer.server.elsewhere
    return RequestRefusedError(f"{': '.join(parts)}; {advice.get(answer.status, otherwise)}", answer.status, retry)


def message_in(answer: HttpAnswer, characters: int = QUOTED_CHARACTERS) -> str:
    """Return what the body of a refusal says to a person: plain text, or the message in JSON; `--debug` shows all."""
    try:
        found = answer.json()
    except ValueError:
        text = answer.content[: 4 * characters].decode("utf-8", "replace")
        return "" if text.lstrip().startswith(("<", "{", "[")) else _quoted(text, characters)
    return _quoted(str(found.get("message") or ""), characters) if isinstance(found, dict) else ""


def _quoted(text: str, characters: int) -> str:
    """Shorten foreign text to one line without characters that steer a terminal."""
    return " ".join(journal.printable(text).split())[:characters]
