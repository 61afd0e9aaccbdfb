# SPDX-License-Identifier: Apache-2.0
"""What the tenant and local clients say: refusals with their headers, tokens, the bridge's health."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import requests

from tedge_cert.authority import cumulocity
from tedge_cert.bridge import health, local_broker
from tedge_cert.errors import NoAnswerError
from tedge_cert.net import https, retry_after
from tedge_cert.net.anchors import Trust
from tedge_cert.net.mqtt import Message
from tedge_cert.net.server import Server
from tedge_cert.tenant import device_token, smartrest

_SERVER = Server("tenant.example", Trust(Path("/etc/ssl/certs"), "c8y.root_cert_path"), "c8y.http")
URL = _SERVER.url_of("/.well-known/est/simplereenroll")
REFUSALS = (
    b"120\n503\nService Unavailable\nbusy",
    b"Wed, 25 Nov 2026 10:00:00 GMT\n429\nToo Many Requests\n{}",
    b"Wed, 25 Nov 2026 10:00:00 -0000\n202\nAccepted\n",
    b"Wednesday, 25-Nov-26 10:00:00 +1400\n307\nElsewhere\nhttps://elsewhere.example/",
    b"-1\n401\nUnauthorized\n" + b'{"error":"security/Unauthorized","message":"why"}',
)
_JWT = b"eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOm51bGwsImV4cCI6MTc5NTU5OTk5OX0.dGVzdA"
TOKENS = (
    b'{"accessToken": "' + _JWT + b'"}',
    b'{"accessToken": null, "expires_in": 3600}',
    b'[{"accessToken": ["a"]}]',
    b'{"accessToken": "\\u20ac\\r\\nX: y"}',
    b"71," + _JWT,
)
HEARD = (b"71," + _JWT, b"1", b"0", b" 1\n", b"71,\r\nX: y", "71,€".encode(), b"71,a b")


def read_refusal(content: bytes) -> None:
    """An answer that is no success: header, status, reason and body in four lines."""
    retry, status, reason, body = (content.split(b"\n", 3) + [b""] * 4)[:4]
    number = int(status) if status.isdigit() and len(status) < 5 else 500
    fields = {"Retry-After": retry.decode("latin-1"), "Location": body.decode("latin-1")}
    error = https.refusal(_answer(number, body, reason.decode("latin-1"), fields), cumulocity.advice(_SERVER))
    assert len(str(error)) < 2000
    # One line, which steers no terminal, before it reaches the log.
    assert str(error).isprintable()
    seconds = retry_after.retry_after_s(retry.decode("latin-1"), 0)
    assert seconds is None or seconds >= 0


def read_token(content: bytes) -> None:
    """The answer to a request for a token, with any status."""
    for status in (200, 401, 500):
        reply = device_token._judge(_answer(status, content))
        _becomes_a_header(reply.token)
        assert not reply.token or reply.token not in reply.reason


def _answer(status: int, body: bytes, reason: str = "", fields: Mapping[str, str] | None = None) -> https.HttpAnswer:
    return https.HttpAnswer(_SERVER, URL, status, reason, fields or {}, body)


def hear(content: bytes) -> None:
    """A message on each of the topics that the bridge's watcher subscribes to; any local client can send it."""
    watcher = _watcher(content)
    for topic in ("health", "c8y/s/dat", "else"):
        for _ in range(3):
            watcher._handle(Message(topic, content, time.monotonic()))
    try:
        with mock.patch.multiple(smartrest, TOKEN_WAIT_S=0.0, ATTEMPTS=1):
            _becomes_a_header(smartrest.token_through(watcher))
    except NoAnswerError:
        return


def _becomes_a_header(token: str) -> None:
    """Whatever is taken for a token can be sent, and is no more than one field."""
    prepared = requests.Request("GET", URL, {"Authorization": f"Bearer {token}"}).prepare()
    value = prepared.headers["Authorization"]
    assert value.encode("ascii").decode() == f"Bearer {token}"
    assert value.isprintable()


class _Broker:
    """A connection to a broker that answers a request for a token at once, with `content`."""

    content = b""

    def __init__(self, _broker: Any, _timeout_s: float, on_message: Callable[[Message], None], _: Any) -> None:
        self.on_message = on_message

    def subscribe(self, topic: str, _timeout_s: float = 0.0) -> None:
        """The health is retained."""
        self.on_message(Message(topic, b"1", 0.0, is_retained=True))

    def publish(self, *_: Any, **_options: Any) -> None:
        """The answer comes at once."""
        self.on_message(Message("c8y/s/dat", self.content, 0.0))


def _watcher(content: bytes) -> health.Bridge:
    broker: Any = mock.Mock(prefix="c8y", health_topic="health")
    _Broker.content = content
    with mock.patch.object(local_broker, "connect", _Broker):
        return health.Bridge(broker)
