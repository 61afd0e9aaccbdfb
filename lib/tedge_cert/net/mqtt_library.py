# SPDX-License-Identifier: Apache-2.0
"""The MQTT library: what differs between paho 1.6 and 2.1, and what neither of them survives by itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

# Where a step gets its token without MQTT, it need not pay for the library: a tenth of its CPU time.
if TYPE_CHECKING:
    import paho.mqtt.client as paho

# What this package waits for is smaller; others may send what they like.
LIMIT_BYTES = 1 << 20
# paho 2 tells the return code of CONNACK in MQTT 5's numbers.
_RETURN_CODES = {132: 1, 133: 2, 136: 3, 134: 4, 135: 5}


def return_code(told: Any) -> int:
    """The return code of a CONNACK (MQTT 3.1.1 §3.2.2.3), however the library tells it."""
    number = int(getattr(told, "value", told))
    return _RETURN_CODES.get(number, number)


def words_of(code: int) -> str:
    """What a return code means."""
    import paho.mqtt.client as paho

    return str(paho.connack_string(code)).lower().rstrip(".")


@contextmanager
def _as_connection_error() -> Iterator[None]:
    """No route and time-outs of TCP too are the end of a connection."""
    try:
        yield
    except (BlockingIOError, ConnectionError):
        raise
    except OSError as error:
        raise ConnectionError(str(error)) from error


def new_client(client_id: str) -> "paho.Client":
    """A client that is connected once and not again by itself."""
    import paho.mqtt.client as paho

    class Client(paho.Client):
        """The library's client, which reads a message of any size, and in version 1 dies of errors it does not know."""

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

    options: dict[str, Any] = {"client_id": client_id, "clean_session": True, "reconnect_on_failure": False}
    if hasattr(paho, "CallbackAPIVersion"):
        return Client(paho.CallbackAPIVersion.VERSION2, **options)
    return Client(**options)
