# SPDX-License-Identifier: Apache-2.0
"""An MQTT connection (MQTT 3.1.1) with a bound on every wait, over paho 1.6 or 2.1."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tedge_cert.config.credentials import Credentials
from tedge_cert.deadline import Deadline
from tedge_cert.net import trace
from tedge_cert.net.resolver import reaching
from tedge_cert.net.tls import ClientContext

# Only for its types.
if TYPE_CHECKING:
    import paho.mqtt.client as paho

KEEPALIVE_S = 20
# This package waits for fewer messages, but other clients may send as fast as they like.
_WAITING_MESSAGES = 100


class ConnectionClosedError(OSError):
    """The other side closed the connection."""


class ConnackError(OSError):
    """The other side answered CONNECT with a return code that is not zero (MQTT 3.1.1 §3.2.2.3)."""

    def __init__(self, code: int) -> None:
        import paho.mqtt.client as paho

        super().__init__(f"CONNACK {code} ({paho.connack_string(code).lower().rstrip('.')})")
        self.code = code


@dataclass(frozen=True)
class Message:
    """A message as it arrived; ``at_s`` in monotonic seconds."""

    topic: str
    payload: bytes
    at_s: float
    # The broker kept it from before, so it answers no question of ours.
    is_retained: bool = False


class Connection:
    """A connection, which is up after the constructor returns; use it in a ``with`` block."""

    def __init__(
        self,
        endpoint: tuple[str, int],
        client_id: str,
        timeout_s: float,
        tls: ClientContext | None = None,
        on_message: Callable[[Message], None] | None = None,
        on_close: Callable[[], None] | None = None,
        login: Credentials | None = None,
        *,
        before_connect: Callable[[Any], None] | None = None,
        holds_session: bool = False,
    ) -> None:
        """Connect; raises OSError (ConnackError, ssl.SSLError, TimeoutError, …) within ``timeout_s``.

        ``before_connect`` is called with the socket between the TLS handshake and CONNECT. With ``holds_session`` the
        session of ``client_id`` is kept as it is: no message is acknowledged, so the next client of that id gets all.
        """
        self._changed = threading.Condition()
        self._code: int | None = None
        self._closed = False
        self.has_session = False
        """Whether the other side had a session of this client id (MQTT 3.1.1 §3.2.2.2)."""
        self._acknowledged: set[int] = set()
        self._messages: deque[Message] = deque(maxlen=_WAITING_MESSAGES)
        self._on_message = on_message
        self._on_close = on_close
        self._client = new_client(client_id, holds_session)
        self._client.on_connect = self._handle_connect
        self._client.on_disconnect = self._handle_disconnect
        self._client.on_message = self._handle_message
        self._client.on_publish = self._handle_acknowledged
        self._client.on_subscribe = self._handle_acknowledged
        if tls is not None:
            self._client.tls_set_context(tls)
        if login is not None:
            self._client.username_pw_set(login.username, login.password or None)
        if before_connect is not None:
            self._client.on_socket_open = lambda _client, _data, sock: before_connect(sock)
        try:
            self._connect(endpoint, timeout_s)
        except OSError:
            self.close()
            raise

    def publish(
        self, topic: str, payload: str = "", qos: int = 1, timeout_s: float = 20.0, retain: bool = False
    ) -> None:
        """Publish; with QoS 1 wait for the PUBACK. Raises ConnectionClosedError or TimeoutError."""
        trace.mqtt(f"publish {topic} ({len(payload)} characters)")
        number = self._client.publish(topic, payload, qos, retain).mid
        if qos:
            self._wait(lambda: number in self._acknowledged, timeout_s, "PUBACK")

    def subscribe(self, topic: str, timeout_s: float = 10.0) -> None:
        """Subscribe with QoS 1 and wait for the SUBACK."""
        trace.mqtt(f"subscribe {topic}")
        _, number = self._client.subscribe(topic, 1)
        self._wait(lambda: number in self._acknowledged, timeout_s, "SUBACK")

    def next_message(self, timeout_s: float) -> Message:
        """Take the oldest message; raises ConnectionClosedError or TimeoutError."""
        self._wait(lambda: bool(self._messages), timeout_s, "message")
        with self._changed:
            return self._messages.popleft()

    def wait_for_close(self, timeout_s: float) -> bool:
        """Return whether the other side closes the connection within ``timeout_s``."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, timeout_s)

    def close(self) -> None:
        """Send DISCONNECT and stop."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _connect(self, endpoint: tuple[str, int], timeout_s: float) -> None:
        deadline = Deadline(timeout_s)
        trace.mqtt(f"connecting to {endpoint[0]}:{endpoint[1]}")
        with reaching(timeout_s, f"connecting to {endpoint[0]}:{endpoint[1]}"):
            self._client.connect(*endpoint, keepalive=KEEPALIVE_S)
        self._client.loop_start()
        self._wait(lambda: self._code is not None, deadline.left_s(), "CONNACK")
        if self._code:
            raise ConnackError(self._code)

    def _wait(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: condition() or self._closed, timeout_s):
                raise TimeoutError(f"no {what} in time")
            if not condition():
                raise ConnectionClosedError(f"the connection was closed before the {what}")

    # paho calls these from its own thread, with more arguments in version 2 than in version 1.
    def _handle_connect(self, _client: object, _data: object, flags: Any, code: Any, *_rest: object) -> None:
        number = int(getattr(code, "value", code))
        number = _RETURN_CODES.get(number, number)
        trace.mqtt(f"CONNACK {number}")
        with self._changed:
            self._code = number
            self.has_session = bool(flags["session present"] if isinstance(flags, dict) else flags.session_present)
            self._changed.notify_all()

    def _handle_disconnect(self, *_arguments: object) -> None:
        trace.mqtt("closed")
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._on_close is not None:
            self._on_close()

    def _handle_acknowledged(self, _client: object, _data: object, number: int, *_rest: object) -> None:
        with self._changed:
            self._acknowledged.add(number)
            self._changed.notify_all()

    def _handle_message(self, _client: object, _data: object, message: "paho.MQTTMessage") -> None:
        trace.mqtt(f"message on {message.topic} ({len(message.payload)} bytes)")
        received = Message(message.topic, bytes(message.payload), time.monotonic(), bool(message.retain))
        if self._on_message is not None:
            self._on_message(received)
            return
        with self._changed:
            self._messages.append(received)
            self._changed.notify_all()


# The messages that this package waits for are smaller, but other clients may send any.
LIMIT_BYTES = 1 << 20
# paho 2 gives the return code of CONNACK in MQTT 5's numbers.
_RETURN_CODES = {132: 1, 133: 2, 136: 3, 134: 4, 135: 5}


@contextmanager
def _as_connection_error() -> Iterator[None]:
    """Make ConnectionError of "no route" and TCP time-outs too."""
    try:
        yield
    except (BlockingIOError, ConnectionError):
        raise
    except OSError as error:
        raise ConnectionError(*error.args) from error


def new_client(client_id: str, holds_session: bool = False) -> "paho.Client":
    """Make a client that does not reconnect by itself; one that ``holds_session`` acknowledges no message."""
    import paho.mqtt.client as paho

    class Client(paho.Client):
        """A client with a limit on messages, and with errors that paho 1 expects; its thread would end with others."""

        def _sock_recv(self, bufsize: int) -> bytes:
            if bufsize > LIMIT_BYTES:
                raise ConnectionError(f"a message of {bufsize} bytes, expected {LIMIT_BYTES} at most")
            with _as_connection_error():
                data: bytes = super()._sock_recv(bufsize)
            return data

        def _sock_send(self, buf: bytes) -> int:
            with _as_connection_error():
                sent: int = super()._sock_send(buf)
            return sent

    class Holder(Client):
        """A client without acknowledgements: paho 1 has no option for that."""

        def _send_puback(self, _number: int) -> Any:
            return paho.MQTT_ERR_SUCCESS

        def _send_pubrec(self, _number: int) -> Any:
            return paho.MQTT_ERR_SUCCESS

    options: dict[str, Any] = {
        "client_id": client_id,
        "clean_session": not holds_session,
        "reconnect_on_failure": False,
    }
    kind = Holder if holds_session else Client
    if hasattr(paho, "CallbackAPIVersion"):
        return kind(paho.CallbackAPIVersion.VERSION2, **options)
    return kind(**options)
