# SPDX-License-Identifier: Apache-2.0
"""A mapper with a built-in bridge, as thin-edge's looks from outside.

It reads certificate and key once, when it starts. It has three sessions at the local broker, all persistent: the bridge
acknowledges a local message only after the cloud has, the mapper says that it runs and as which process, and a third
one says nothing. When a connection is lost it waits 2.5 to 7.5 s, twice as long after each failure.

Debian's Python runs it too, with either version of paho:
python3 mapper.py --port 1883 --cloud HOST:8883 --ca FILE --cert FILE --key FILE --device-id ID

The real one is a compiled program, so this one imports little: its start is a part of the outage that the bench counts.
"""

import json
import os
import queue
import random
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

# paho imports it for proxies of web sockets only, and it takes as long as all the rest.
sys.modules.setdefault("urllib.request", ModuleType("urllib.request"))
import paho.mqtt.client as paho  # noqa: E402 (as above)

LONGEST_PAUSE_S = 600.0
MEASUREMENTS = "measurement/measurements/create"
UP = ("s/us", "s/uat", "t/us", "q/us", "c/us", "s/uc/#", "event/events/create/#", "inventory/managedObjects/update/#")
DOWN = ("s/ds", "s/dat", "s/e", "s/dc/#")


# The options; those without a value have to be given.
OPTIONS: dict[str, str | None] = {
    "host": "127.0.0.1",
    "port": "1883",
    "username": "",
    "password": "",
    "local_ca": "",
    # Certificate and key for the listener, without .pem and .key.
    "local_pair": "",
    # host:port
    "cloud": None,
    "ca": None,
    "cert": None,
    "key": None,
    "device_id": None,
    "prefix": "c8y",
    "root": "te",
    "topic_id": "device/main//",
    # By this the pauses are multiplied.
    "pause": "1",
    # Seconds before it connects.
    "start": "0",
}


def arguments() -> SimpleNamespace:
    """Read the command line."""
    names = [each.removeprefix("--").replace("-", "_") for each in sys.argv[1::2]]
    told = {**OPTIONS, **dict(zip(names, sys.argv[2::2], strict=True))}
    if wrong := [name for name, value in told.items() if value is None or name not in OPTIONS]:
        sys.exit(f"missing or unknown: {' '.join(wrong)}")
    return SimpleNamespace(**told)


class Client(paho.Client):
    """A client that acknowledges a message when it is told to, with either version of the library."""

    def _send_puback(self, _number: int) -> Any:
        return paho.MQTT_ERR_SUCCESS

    def acknowledge(self, mid: int) -> None:
        """Acknowledge a message of QoS 1."""
        super()._send_puback(mid)


def new_client(client_id: str, clean: bool) -> Client:
    options: dict[str, Any] = {"client_id": client_id, "clean_session": clean, "reconnect_on_failure": False}
    if hasattr(paho, "CallbackAPIVersion"):
        options["callback_api_version"] = vars(paho)["CallbackAPIVersion"].VERSION2
    client = Client(**options)
    client.max_inflight_messages_set(1000)
    return client


class Link:
    """A connection that comes back by itself."""

    def __init__(self, client: Client, endpoint: tuple[str, int], pause: float) -> None:
        self.client, self.is_up = client, False
        self._endpoint, self._factor = endpoint, pause
        self._closed = threading.Event()
        self.on_up: Callable[[], None] = lambda: None
        self.on_down: Callable[[], None] = lambda: None
        client.on_connect = self._connected
        client.on_disconnect = lambda *_: self._closed.set()

    def run(self) -> None:
        """Keep the connection; for a thread of its own."""
        pause = failures = 0.0
        while True:
            self._closed.clear()
            began = time.monotonic()
            try:
                self.client.connect(*self._endpoint, keepalive=60)
            except OSError as error:
                sys.stderr.write(f"{self._endpoint}: {error}\n")
            else:
                self.client.loop_start()
                self._closed.wait()
                self.client.loop_stop()
            self.is_up = False
            self.on_down()
            # A pause is forgotten after five minutes of connection.
            failures = 0 if time.monotonic() - began > 300 * self._factor else failures
            pause = min(LONGEST_PAUSE_S, random.uniform(2.5, 7.5) * 2**failures) * self._factor  # noqa: S311
            failures += 1
            time.sleep(pause)

    def _connected(self, _client: object, _data: object, _flags: object, code: Any, *_: object) -> None:
        if getattr(code, "value", code) == 0:
            self.is_up = True
            self.on_up()


class Mapper:
    """Three local sessions, and the link to the cloud."""

    def __init__(self, told: SimpleNamespace) -> None:
        self._told = told
        device = told.topic_id.split("/")
        services = f"{told.root}/device/{device[1]}/service"
        name, bridge = f"tedge-mapper-{told.prefix}", f"tedge-mapper-bridge-{told.prefix}"
        self._health, self._bridge_health = (f"{services}/{each}/status/health" for each in (name, bridge))
        session = name if told.topic_id == "device/main//" else f"{name}#{told.topic_id}"
        # The library calls back with its own locks held, so one thread does what callbacks ask for.
        self._asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        # Local messages that the cloud has not acknowledged: number at the broker -> (topic, payload).
        self._waiting: dict[int, tuple[str, bytes]] = {}
        # Number at the cloud -> number at the broker.
        self._sent: dict[int, int] = {}
        self.links = [
            self._cloud_link(),
            self._local_link(bridge, self._bridge_health, '{"status":"down"}', self._on_bridge_up, self._from_device),
            self._local_link(session, self._health, self._says("down"), self._on_mapper_up, self._convert),
            self._local_link(f"last_will_{told.prefix}_mapper", "", "", lambda: None, lambda _: None),
        ]
        self._cloud, self._local, self._main = (each.client for each in self.links[:3])

    def run(self) -> None:
        """Keep all connections until a signal ends the process."""
        if signal.sigtimedwait({signal.SIGTERM}, float(self._told.start)) is None:
            for each in self.links:
                threading.Thread(target=each.run, daemon=True).start()
            threading.Thread(target=self._work, daemon=True).start()
            signal.sigwait({signal.SIGTERM})
        os._exit(0)

    def _work(self) -> None:
        while True:
            self._asked.get()()

    def _says(self, status: str) -> str:
        return json.dumps({"pid": os.getpid(), "status": status, "time": time.time()})

    def _cloud_link(self) -> Link:
        told = self._told
        context = ssl.create_default_context()
        # The one time that the certificate is read.
        place = "capath" if os.path.isdir(told.ca) else "cafile"  # noqa: PTH112 (pathlib takes a while to import)
        context.load_verify_locations(**{place: told.ca})
        context.load_cert_chain(told.cert, told.key)
        client = new_client(told.device_id, clean=True)
        client.tls_set_context(context)
        client.on_message = lambda _client, _data, message: self._asked.put(lambda: self._from_cloud(message))
        client.on_publish = lambda _client, _data, mid, *_: self._asked.put(lambda: self._acknowledged(mid))
        host, _, port = told.cloud.rpartition(":")
        link = Link(client, (host.strip("[]"), int(port)), float(told.pause))
        link.on_up = lambda: self._asked.put(self._on_cloud_up)
        link.on_down = lambda: self._asked.put(lambda: self._report("down"))
        return link

    def _local_link(
        self, client_id: str, will: str, text: str, on_up: Callable[[], None], on_message: Callable[[Any], None]
    ) -> Link:
        told = self._told
        client = new_client(client_id, clean=False)
        if will:
            client.will_set(will, text, 1, retain=True)
        if told.username:
            client.username_pw_set(told.username, told.password or None)
        if told.local_ca:
            context = ssl.create_default_context(cafile=told.local_ca)
            if told.local_pair:
                context.load_cert_chain(f"{told.local_pair}.pem", f"{told.local_pair}.key")
            client.tls_set_context(context)
        client.on_message = lambda _client, _data, message: self._asked.put(lambda: on_message(message))
        link = Link(client, (told.host, int(told.port)), float(told.pause))
        link.on_up = lambda: self._asked.put(on_up)
        return link

    def _report(self, status: str) -> None:
        self._local.publish(self._bridge_health, json.dumps({"status": status}), 1, retain=True)

    def _on_cloud_up(self) -> None:
        self._cloud.subscribe([(each, 1) for each in DOWN])
        self._sent.clear()
        for number in list(self._waiting):
            self._send(number)
        self._report("up")

    def _on_bridge_up(self) -> None:
        self._local.subscribe([(f"{self._told.prefix}/{each}", 1) for each in (*UP, MEASUREMENTS)])
        if self.links[0].is_up:
            self._report("up")

    def _on_mapper_up(self) -> None:
        self._main.subscribe([(f"{self._told.root}/+/+/+/+/m/+", 1), (f"{self._told.root}/+/+/+/+/cmd/+/+", 1)])
        self._main.publish(self._health, self._says("up"), 1, retain=True)

    def _from_device(self, message: Any) -> None:
        topic = message.topic.removeprefix(f"{self._told.prefix}/")
        if message.qos == 0:
            if self.links[0].is_up:
                self._cloud.publish(topic, message.payload, 0)
            return
        self._waiting[message.mid] = (topic, message.payload)
        if self.links[0].is_up:
            self._send(message.mid)

    def _send(self, number: int) -> None:
        topic, payload = self._waiting[number]
        self._sent[self._cloud.publish(topic, payload, 1).mid] = number

    def _acknowledged(self, mid: int) -> None:
        number = self._sent.pop(mid, None)
        if number is not None and self._waiting.pop(number, None) is not None:
            self._local.acknowledge(number)

    def _from_cloud(self, message: Any) -> None:
        self._local.publish(f"{self._told.prefix}/{message.topic}", message.payload, message.qos)
        if message.qos:
            self._cloud.acknowledge(message.mid)

    def _convert(self, message: Any) -> None:
        """Make a message for the cloud of a measurement, and acknowledge it."""
        _, separator, kind = message.topic.partition("/m/")
        if separator:
            values = {name: {name: {"value": value}} for name, value in json.loads(message.payload).items()}
            self._main.publish(f"{self._told.prefix}/{MEASUREMENTS}", json.dumps({"type": kind, **values}), 1)
        if message.qos:
            self._main.acknowledge(message.mid)


def main() -> None:
    # In all threads: where another one is given the signal, the main thread does not learn of it while it waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Mapper(arguments()).run()


if __name__ == "__main__":
    main()
