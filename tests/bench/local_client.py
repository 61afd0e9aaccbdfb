# SPDX-License-Identifier: Apache-2.0
"""A local client as a device has them, run inside the device by Debian's Python.

It publishes QoS 1 messages steadily, and prints what it sees as JSON lines with the monotonic and the wall clock:
changes of the bridge's health, its own disconnects, and who opens or replaces the certificate.
"""

import ctypes
import json
import os
import struct
import sys
import threading
import time
from typing import Any

import paho.mqtt.client as paho

IN_OPEN, IN_MOVED_TO = 0x20, 0x80  # inotify(7)
STOP = "bench/stop"
_HEADER = struct.Struct("iIII")


def tell(what: str, value: object = "") -> None:
    """Print one event with the time at which it is seen, in one piece: more than one thread tells some."""
    event = {"what": what, "value": value, "at": time.monotonic(), "clock": time.time()}
    os.write(sys.stdout.fileno(), f"{json.dumps(event)}\n".encode())


def watch(directory: str, name: str) -> None:
    """Tell whenever the file of that name is opened or replaced."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(0)
    if libc.inotify_add_watch(descriptor, directory.encode(), IN_OPEN | IN_MOVED_TO) < 0:
        raise OSError(ctypes.get_errno(), "inotify_add_watch", directory)
    while True:
        events = os.read(descriptor, 65536)
        at = 0
        while at < len(events):
            _, mask, _, length = _HEADER.unpack_from(events, at)
            at += _HEADER.size + length
            if events[at - length : at].rstrip(b"\0").decode() == name:
                tell("replaced" if mask & IN_MOVED_TO else "opened")


class LocalClient:
    """Publishes and counts until it is told to stop."""

    def __init__(self, health_topic: str) -> None:
        self.sent = self.acknowledged = self.disconnects = 0
        self.stopped = threading.Event()
        self._health_topic = health_topic
        options: dict[str, Any] = {"client_id": "bench", "clean_session": True}
        if hasattr(paho, "CallbackAPIVersion"):
            options["callback_api_version"] = paho.CallbackAPIVersion.VERSION2
        self.client = paho.Client(**options)
        self.client.max_inflight_messages_set(1000)
        self.client.on_connect = self._connected
        self.client.on_disconnect = self._disconnected
        self.client.on_message = self._received
        self.client.on_publish = self._published

    # paho calls these with more arguments in version 2 than in version 1.
    def _connected(self, *_arguments: object) -> None:
        self.client.subscribe([(self._health_topic, 1), (STOP, 1)])
        tell("connected")

    def _disconnected(self, *_arguments: object) -> None:
        if not self.stopped.is_set():
            self.disconnects += 1
            tell("disconnected")

    def _published(self, *_arguments: object) -> None:
        self.acknowledged += 1

    def _received(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        if message.topic == STOP:
            self.stopped.set()
        else:
            tell("health", message.payload.decode())

    def run(self, prefix: str, rate: float) -> None:
        """Publish at a steady rate until told to stop, then see all of it acknowledged by the broker."""
        self.client.connect("127.0.0.1")
        self.client.loop_start()
        due = time.monotonic()
        while not self.stopped.wait(max(0.0, due - time.monotonic())):
            self.client.publish("c8y/s/us", f"{prefix}{self.sent}", 1)
            self.sent += 1
            due += 1 / rate
        until = time.monotonic() + 20
        while self.acknowledged < self.sent and time.monotonic() < until:
            time.sleep(0.02)
        tell("end", {"sent": self.sent, "acknowledged": self.acknowledged, "disconnects": self.disconnects})
        self.client.disconnect()
        self.client.loop_stop()


if __name__ == "__main__":
    topic, certificate, message_prefix, per_second = sys.argv[1:]
    os.nice(-10)  # what it sees is to be told when it happens, however busy the machine is
    threading.Thread(target=watch, args=os.path.split(certificate), daemon=True).start()
    LocalClient(topic).run(message_prefix, float(per_second))
