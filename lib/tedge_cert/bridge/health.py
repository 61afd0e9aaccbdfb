# SPDX-License-Identifier: Apache-2.0
"""The bridge as the local broker shows it: its health, and a token asked for through it."""

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from tedge_cert import journal
from tedge_cert.bridge import local_broker
from tedge_cert.deadline import Deadline
from tedge_cert.device.instance import Instance
from tedge_cert.errors import ConfigurationError, NoAnswerError, TedgeCertError
from tedge_cert.net.authorization import is_token
from tedge_cert.net.mqtt import Message

CONNECT_S = 10.0
TOKEN_ATTEMPTS = 2
TOKEN_WAIT_S = 10.0
# A retained message follows the SUBACK at once; a broker that has none to send knows of no bridge.
RETAINED_S = 1.0
# A little less than the shortest pause of the bridge before it connects anew and reads the certificate: 1.04 s was
# the least of 80 measured, and we hear of the fall some milliseconds late.
LEAST_PAUSE_S = 0.9
TOKEN_TEMPLATE = "71,"  # noqa: S105 (SmartREST, no secret)
OWN_ID_TEMPLATE = "124,"
# Any local client can publish to these topics, as fast as it likes.
_CHANGES = 1000


class Bridge:
    """A connection to the local broker that watches the bridge; use it in a ``with`` block.

    Times are monotonic seconds. Raises OSError when there is no broker, or ConfigurationError.
    """

    def __init__(self, instance: Instance) -> None:
        self._changed = threading.Condition()
        self._up: bool | None = None
        self._changes: deque[tuple[float, bool]] = deque(maxlen=_CHANGES)
        self._token = ""
        self._own_id = ""
        self._prefix = instance.prefix
        self._health_topic = instance.health_topic
        self._lost = False
        self._connection = local_broker.connect(instance, CONNECT_S, self._handle, self._handle_close)
        try:
            self._connection.subscribe(self._health_topic)
            # Without a certificate the tenant gives no tokens.
            self._connection.subscribe(f"{self._prefix}/s/{'ds' if instance.uses_basic else 'dat'}")
            self._wait(lambda: self._up is not None, RETAINED_S)
        except OSError:
            self._connection.close()
            raise

    @property
    def is_up(self) -> bool:
        """Whether the bridge was connected when the broker last spoke of it."""
        return bool(self._up)

    @property
    def is_lost(self) -> bool:
        """Whether the broker closed our connection, so that nothing more is heard of the bridge."""
        return self._lost

    def fell_at_s(self, since_s: float) -> float | None:
        """When the bridge last lost its connection, if that was after ``since_s``."""
        with self._changed:
            falls = [at for at, up in self._changes if not up and at >= since_s]
        return falls[-1] if falls else None

    def wait_for_fall(self, since_s: float, timeout_s: float) -> bool:
        """Whether the bridge loses its connection after ``since_s``, within ``timeout_s`` from now."""
        return self._wait(lambda: self._changed_to(False, since_s), timeout_s)

    def wait_for_return(self, since_s: float, timeout_s: float) -> bool:
        """Whether the bridge comes back after ``since_s``, within ``timeout_s`` from now."""
        return self._wait(lambda: self._changed_to(True, since_s), timeout_s)

    def wait_until_up(self, timeout_s: float) -> bool:
        """Whether the bridge is connected, within ``timeout_s`` from now."""
        return self._wait(lambda: bool(self._up), timeout_s)

    def token(self, attempts: int = TOKEN_ATTEMPTS) -> str:
        """A token asked for through the bridge (SmartREST ``s/uat``); raises NoAnswerError.

        The request is QoS 0 both ways, so it is repeated. An answer that arrived before is never taken.
        """
        with self._changed:
            self._token = ""
        for _ in range(attempts):
            self._connection.publish(f"{self._prefix}/s/uat", "", qos=0)
            if self._wait(lambda: bool(self._token), TOKEN_WAIT_S):
                return self._token
        raise NoAnswerError(
            f"no token came through the bridge within {attempts * TOKEN_WAIT_S:g} s of asking on {self._prefix}/s/uat"
        )

    def own_id(self, attempts: int = TOKEN_ATTEMPTS) -> str:
        """What the tenant calls this device, asked for through the bridge (SmartREST ``123``); raises NoAnswerError."""
        self._own_id = ""
        for _ in range(attempts):
            self._connection.publish(f"{self._prefix}/s/us", "123", qos=0)
            if self._wait(lambda: bool(self._own_id), TOKEN_WAIT_S):
                return self._own_id
        raise NoAnswerError(
            f"no answer came through the bridge within {attempts * TOKEN_WAIT_S:g} s of asking for the device's own id "
            f"on {self._prefix}/s/us"
        )

    def close(self) -> None:
        """End the connection to the broker."""
        self._connection.close()

    def __enter__(self) -> "Bridge":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _changed_to(self, up: bool, since_s: float) -> bool:
        return any(value is up and at >= since_s for at, value in self._changes)

    def _wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        deadline = Deadline(timeout_s)
        with self._changed:
            while not condition():
                if deadline.passed() or self._lost:
                    return False
                self._changed.wait(deadline.left_s())
            return True

    def _handle_close(self) -> None:
        with self._changed:
            self._lost = True
            self._changed.notify_all()

    def _handle(self, message: Message) -> None:
        text = message.payload.decode("utf-8", "replace").strip()
        with self._changed:
            if message.topic == self._health_topic:
                up = text == "1"
                if self._up is not None and up is not self._up:
                    self._changes.append((message.at_s, up))
                self._up = up
            elif token := token_in(text):
                self._token = token
            elif text.startswith(OWN_ID_TEMPLATE):
                self._own_id = text[len(OWN_ID_TEMPLATE) :].strip()
            self._changed.notify_all()


def token_in(text: str) -> str:
    """The token in a message of the tenant; empty if it is another message, or holds nothing that can be one."""
    if not text.startswith(TOKEN_TEMPLATE):
        return ""
    token = text[len(TOKEN_TEMPLATE) :].strip()
    return token if is_token(token) else ""


def open_bridge(instance: Instance) -> Bridge | None:
    """The bridge of this instance, or None when there is none or no broker to ask."""
    if not instance.bridge_file.exists():
        return None
    try:
        return Bridge(instance)
    except OSError as error:
        # One that is down is met as such by whoever asked.
        (journal.warning if local_broker.is_final(error) else journal.debug)(local_broker.explain(instance, error))
    except ConfigurationError as error:
        # No reason to leave a certificate in doubt: a connection of our own to the tenant can decide.
        journal.warning(f"the local broker is not asked: {error}")
    return None


def is_healthy(instance: Instance, timeout_s: float) -> bool:
    """Whether the broker says that the bridge is connected; raises OSError when there is no broker to ask."""
    with local_broker.connect(instance, timeout_s) as connection:
        connection.subscribe(instance.health_topic, timeout_s)
        try:
            return connection.next_message(RETAINED_S).payload.strip() == b"1"
        except TimeoutError:
            return False


def now_s() -> float:
    """The clock that changes of health are told in."""
    return time.monotonic()


LISTENING_S = 20.0


def wait_for_broker(instance: Instance) -> None:
    """Wait until mosquitto listens; raises TedgeCertError."""
    deadline = Deadline(LISTENING_S)
    while True:
        try:
            Bridge(instance).close()
        except OSError as error:
            if local_broker.is_final(error):
                raise TedgeCertError(local_broker.explain(instance, error)) from error
            if deadline.passed():
                raise TedgeCertError(
                    f"mosquitto does not listen as configured: {local_broker.explain(instance, error)}, `journalctl -u "
                    "mosquitto`"
                ) from error
            # A refused connection says nothing about when the next one will not be.
            time.sleep(0.2)
        else:
            return
