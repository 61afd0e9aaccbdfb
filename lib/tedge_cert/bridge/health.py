# SPDX-License-Identifier: Apache-2.0
"""Watch the bridge through the local broker: its health, and answers that come through it."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from tedge_cert.bridge import local_broker
from tedge_cert.deadline import Deadline
from tedge_cert.device.connections import LocalBroker
from tedge_cert.errors import TedgeCertError
from tedge_cert.net.mqtt import Message

CONNECT_S = 10.0
# A retained message follows the SUBACK at once; a broker that has none to send knows of no bridge.
RETAINED_S = 1.0
SETTLE_S = 5.0
# How long after a fall of the bridge the broker may tell of it, at most: milliseconds on an idle device.
NEWS_S = 0.1
_VERSION_TOPIC = "$SYS/broker/version"
_VERSION_2_0 = "mosquitto version 2.0."
# These brokers never call mosquitto_time_init (lib/time_mosq.c), so they read clock 0, which is CLOCK_REALTIME.
_OF_DAY = tuple(f"{_VERSION_2_0}{each}" for each in (19, 20, 21))
# Any local client can publish to the topic of the health, as fast as it likes.
_CHANGES = 1000


class Bridge:
    """A connection to the local broker that watches the bridge; use it in a ``with`` block.

    This kind is the bridge of mosquitto; see ``mapper`` for the other one. Times are monotonic seconds. Raises OSError
    when there is no broker, or ConfigurationError.
    """

    # Whether its pause is counted in whole seconds (``tenant/eviction.py``).
    counts_seconds = True

    def __init__(self, broker: LocalBroker, timeout_s: float | None = None, retained_s: float = RETAINED_S) -> None:
        timeout_s = CONNECT_S if timeout_s is None else timeout_s
        self.broker = broker
        self._changed = threading.Condition()
        self._up: bool | None = None
        self._changes: deque[tuple[float, bool]] = deque(maxlen=_CHANGES)
        self._accept: Callable[[str], str] | None = None
        self._answer_topic = ""
        self._answer = ""
        # The broker closed our connection, so that nothing more is heard of the bridge.
        self.is_lost = False
        # How long it may take to come back after a connection of ours pushed it out, when it was on its way.
        self.settle_s = SETTLE_S
        # The command that shows what the program that has the bridge says.
        self.journal = "`sudo journalctl -u mosquitto`"
        # A broker that does not tell its version is taken for one of those that are back soonest.
        self._version = ""
        self._connection = local_broker.connect(broker, timeout_s, self._handle, self._handle_close)
        try:
            for topic in self._topics():
                self._connection.subscribe(topic, timeout_s)
            self._wait(self._is_known, retained_s)
        except OSError:
            self._connection.close()
            raise

    @property
    def is_up(self) -> bool:
        """Whether the bridge was connected when the broker last spoke of it."""
        return bool(self._up)

    def fell_at_s(self, since_s: float) -> float | None:
        """Return when the bridge last lost its connection, if that was after ``since_s``."""
        with self._changed:
            falls = [at for at, up in self._changes if not up and at >= since_s]
        return falls[-1] if falls else None

    def reads_again_s(self, fell_s: float) -> float:
        """Return before which time a bridge that fell at ``fell_s`` cannot have read the certificate again.

        It begins to connect when a whole second of the broker's clock begins, and reads the certificate then: with
        ``restart_timeout 1`` the first one after its fall (mosquitto 2.1), or the second one (2.0.11, 2.0.21).
        """
        seconds = 2 if self._version.startswith(_VERSION_2_0) else 1
        ahead_s = [time.clock_gettime(each) - time.monotonic() for each in clocks_of(self._version)]
        return min(math.floor(fell_s - NEWS_S + each) + seconds - each for each in ahead_s)

    @property
    def clock(self) -> int:
        """The clock whose whole seconds the broker counts, as ``time.clock_gettime`` names it."""
        return clocks_of(self._version)[0]

    def returned_at_s(self, since_s: float) -> float | None:
        """Return when the bridge first came back after ``since_s``."""
        with self._changed:
            return next((at for at, up in self._changes if up and at >= since_s), None)

    def wait_for_fall(self, since_s: float, timeout_s: float) -> bool:
        """Return whether the bridge loses its connection after ``since_s``, within ``timeout_s`` from now."""
        return self._wait(lambda: self.fell_at_s(since_s) is not None, timeout_s)

    def wait_for_return(self, since_s: float, timeout_s: float) -> bool:
        """Return whether the bridge comes back after ``since_s``, within ``timeout_s`` from now."""
        return self._wait(lambda: self.returned_at_s(since_s) is not None, timeout_s)

    def wait_until_up(self, timeout_s: float) -> bool:
        """Return whether the bridge is connected, within ``timeout_s`` from now."""
        return self._wait(lambda: bool(self._up), timeout_s)

    def uses_former(self, certificate: Path) -> bool:  # noqa: ARG002 (another kind asks for the file)
        """Return whether the bridge goes on with the file that was at ``certificate`` before: mosquitto never does."""
        return False

    def wait_until_idle(self, timeout_s: float) -> None:
        """Wait until nothing is in progress that taking a certificate into use would interrupt: nothing here."""

    def publish(self, topic: str, payload: str, timeout_s: float) -> None:
        """Publish to the tenant, where ``topic`` has no prefix, and wait for the broker to take it; raises OSError."""
        self._connection.publish(f"{self.broker.prefix}/{topic}", payload, timeout_s=timeout_s)

    def publish_locally(self, topic: str, payload: str, timeout_s: float) -> None:
        """Publish a message that the broker keeps (retained); raises OSError."""
        self._connection.publish(topic, payload, timeout_s=timeout_s, retain=True)

    def ask(
        self, topic: str, payload: str, answer_topic: str, accept: Callable[[str], str], attempts: int, wait_s: float
    ) -> str:
        """Publish to the tenant and return what ``accept`` makes of the answer; empty if none comes. Raises OSError.

        ``accept`` returns an empty text for any other message. The request is QoS 0 both ways, so it is repeated up to
        ``attempts`` times, ``wait_s`` apart. An answer that arrived before is never taken.
        """
        answers = f"{self.broker.prefix}/{answer_topic}"
        self._connection.subscribe(answers)
        with self._changed:
            self._answer_topic, self._accept, self._answer = answers, accept, ""
        for _ in range(attempts):
            self._connection.publish(f"{self.broker.prefix}/{topic}", payload, qos=0)
            if self._wait(lambda: bool(self._answer), wait_s):
                return self._answer
        return ""

    def close(self) -> None:
        """End the connection to the broker."""
        self._connection.close()

    def __enter__(self) -> "Bridge":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _topics(self) -> tuple[str, ...]:
        """Return what is subscribed to from the beginning."""
        # The version first: the retained messages are waited for until that of the health has come.
        return (_VERSION_TOPIC, self.broker.health_topic)

    def _is_known(self) -> bool:
        """Return whether the retained messages have come."""
        return self._up is not None

    def _wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: condition() or self.is_lost, timeout_s)
            return condition()

    def _handle_close(self) -> None:
        with self._changed:
            self.is_lost = True
            self._changed.notify_all()

    def _handle(self, message: Message) -> None:
        text = message.payload.decode("utf-8", "replace").strip()
        with self._changed:
            if message.topic == self.broker.health_topic:
                self._note(message, text)
            elif self._accept and message.topic == self._answer_topic and not message.is_retained:
                self._answer = self._accept(text) or self._answer
            else:
                self._note_other(message, text)
            self._changed.notify_all()

    def _note(self, message: Message, text: str) -> None:
        """Note what the bridge says of itself."""
        up = text == "1"
        if self._up is not None and up is not self._up:
            self._changes.append((message.at_s, up))
        self._up = up

    def _note_other(self, message: Message, text: str) -> None:
        """Note a message on another topic that was subscribed to from the beginning."""
        if message.topic == _VERSION_TOPIC:
            self._version = text


def clocks_of(version: str) -> tuple[int, ...]:
    """Return the clocks whose whole seconds a broker may count that tells this version, the likeliest first.

    That of 2.0.15 and before stands still while the device is suspended.
    """
    if version.startswith(_OF_DAY):
        return (time.CLOCK_REALTIME,)
    return time.CLOCK_BOOTTIME, time.CLOCK_MONOTONIC


LISTENING_S = 20.0


def wait_for_broker(broker: LocalBroker) -> None:
    """Wait until mosquitto listens; raises TedgeCertError."""
    deadline = Deadline(LISTENING_S)
    while True:
        try:
            Bridge(broker).close()
        except OSError as error:
            if local_broker.is_final(error):
                raise TedgeCertError(local_broker.explain(broker, error)) from error
            if deadline.passed():
                raise TedgeCertError(
                    f"mosquitto does not listen as configured: {local_broker.explain(broker, error)}, see "
                    "`sudo journalctl -u mosquitto`"
                ) from error
            # A refused connection does not say when the next one will be accepted.
            time.sleep(0.2)
        else:
            return
