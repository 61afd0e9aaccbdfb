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
STOP, KEPT = "bench/stop", "bench/retained/"
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
    """Publish and count until a signal ends it."""

    def __init__(self, health_topic: str) -> None:
        self.sent = self.acknowledged = self.disconnects = self.kept = 0
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
        elif message.topic.startswith(KEPT):
            self.kept += 1
        else:
            tell("health", message.payload.decode())

    def run(self, name: str, rate: float, retained: int, topics: list[str]) -> None:
        """Publish on each topic, steadily, until told to stop; then see all acknowledged by the broker.

        So many messages are retained there before, and looked for after it. On te/# the message is a measurement that
        the mapper of thin-edge converts, on others one for the tenant.
        """
        self.client.connect("127.0.0.1")
        self.client.loop_start()
        for number in range(retained):
            self.client.publish(f"{KEPT}{number}", "kept", 1, retain=True)
        due = time.monotonic()
        while not self.stopped.wait(max(0.0, due - time.monotonic())):
            for topic in topics:
                measurement = f'{{"{name}": {self.sent}}}'
                self.client.publish(topic, measurement if topic.startswith("te/") else f"200,{name},{self.sent}", 1)
            self.sent += 1
            due += 1 / rate
        until = time.monotonic() + 20
        self.client.subscribe(f"{KEPT}#", 1)
        expected = self.sent * len(topics) + retained
        while (self.acknowledged < expected or self.kept < retained) and time.monotonic() < until:
            time.sleep(0.02)
        totals = {"sent": self.sent, "unacknowledged": expected - self.acknowledged, "disconnects": self.disconnects}
        tell("end", {**totals, "kept": self.kept})
        self.client.disconnect()
        self.client.loop_stop()


if __name__ == "__main__":
    health, certificate, run, per_second, kept, used = sys.argv[1:]
    os.nice(-10)  # what it sees is to be told when it happens, however busy the machine is
    threading.Thread(target=watch, args=os.path.split(certificate), daemon=True).start()
    LocalClient(health).run(run, float(per_second), int(kept), used.split(","))
