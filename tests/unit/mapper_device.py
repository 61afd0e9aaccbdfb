# SPDX-License-Identifier: Apache-2.0
"""A device in a directory that thin-edge's mapper connects, and what restarts the mapper there."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as paho

from tedge_cert.device.connection_settings import mqtt_of
from tedge_cert.device.instance import Instance
from tedge_cert.hourly import mapper_process
from unit.connected import certify, instance_of, key_file
from unit.local_device import ROOT, LocalDevice

# As the bridge is configured: no mosquitto connects anything.
BRIDGE_FILE = "# The bridge of this device is built into the mapper.\n"
# Of the pauses of a real mapper, 2.5 to 7.5 s.
PAUSE = 0.2
# A message of ``Telemetry`` as it is published on s/us, and as the mapper makes it of a measurement.
_LOAD = re.compile(r'^200,load,(\d+)$|"load": {"value": (\d+)}')


class StandIn:
    """The mapper as a process, and what systemd does when its restart is asked for."""

    def __init__(self, device: LocalDevice, *options: str, instance: Instance | None = None) -> None:
        self.device, self.options = device, list(options)
        self.restarts = 0
        # A restart comes to nothing: always, or so many times.
        self.is_masked = False
        self.unheard = 0
        # Otherwise the mapper ends as soon as it is started; systemd starts it again and again.
        self.is_fit: Callable[[], bool] = lambda: True
        self._is_failed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._instance = instance or instance_of(device)
        self._file = self._instance.mapper_file
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def pid(self) -> int:
        """The process, which must be running."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it with the certificate that is there now."""
        device, (host, port) = self.device, mqtt_of(self._instance.config)
        command = [
            *(sys.executable, str(ROOT / "tests/stand_in/mapper.py"), "--port", str(device.port)),
            *("--cloud", f"{host}:{port}", "--ca", str(device.tenant.server_ca), "--cert", str(device.certificate)),
            *("--key", str(key_file(device)), "--device-id", device.device_id, "--pause", str(PAUSE), *self.options),
        ]
        with (device.directory / "mapper.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._list(f"{self.pid}\n")

    def stop(self) -> None:
        """Stop it, as systemd does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)
            self._process = None
            self._list("")

    def restart(self) -> None:
        """Restart it, if it runs (`systemctl try-restart`)."""
        if self._process is not None:
            self.restarts += 1
            self.stop()
            self._try()

    def _list(self, processes: str) -> None:
        if self._instance.profile:
            return
        group = cgroups_of(self.device) / mapper_process.unit_of("")
        group.mkdir(parents=True, exist_ok=True)
        (group / "cgroup.procs").write_text(processes)

    def _try(self) -> None:
        self._is_failed = not self.is_fit()
        if not self._is_failed:
            self.start()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()
        self.stop()

    def _watch(self) -> None:
        known = self._seen()
        while not self._ended.wait(0.01):
            found = self._seen()
            if found != known and not self.is_masked:
                known = found
                self.unheard -= 1
                if self.unheard < 0:
                    self.restart()
            if self._is_failed:
                self._try()

    def _seen(self) -> tuple[int, int]:
        try:
            facts = self._file.stat()
        except FileNotFoundError:
            return 0, 0
        return facts.st_ino, facts.st_mtime_ns


def cgroups_of(device: LocalDevice) -> Path:
    """The directory that lists the processes of the mapper without a profile, as /sys/fs/cgroup/system.slice does."""
    return device.directory / "cgroups"


@contextmanager
def mapped(device: LocalDevice, *options: str) -> Iterator[StandIn]:
    """A device with ten days left whose mapper is connected; the mapper ends with the block."""
    certify(device)
    (device.directory / "mosquitto-conf" / "tedge-mosquitto.conf").write_text(
        f"per_listener_settings true\nlistener {device.port} 127.0.0.1\nallow_anonymous true\n"
        "max_queued_messages 1000\n"
    )
    with connected(device, *options) as mapper:
        await_health(device, "up")
        yield mapper


@contextmanager
def connected(device: LocalDevice, *options: str) -> Iterator[StandIn]:
    """A device whose broker has its listener, and whose mapper is connected; the mapper ends with the block."""
    instance_of(device).bridge_file.write_text(BRIDGE_FILE)
    device.start_broker()
    with StandIn(device, *options) as mapper:
        mapper.start()
        device.tenant.wait_connected(device.device_id)
        yield mapper


def await_health(device: LocalDevice, *wanted: str) -> None:
    """Wait until bridge and mapper say so, each retained."""
    heard: dict[str, str] = {}
    changed = threading.Condition()

    def hear(_client: object, _data: object, message: Any) -> None:
        with changed:
            heard[message.topic] = message.payload.decode()
            changed.notify_all()

    client = _client()

    def subscribe(*_: object) -> None:
        client.subscribe("te/+/+/+/+/status/health", 1)

    client.on_connect = subscribe
    client.on_message = hear
    client.connect("127.0.0.1", device.port)
    client.loop_start()
    try:
        with changed:
            good = changed.wait_for(
                lambda: len(heard) > 1 and all(any(f'"{each}"' in text for each in wanted) for text in heard.values()),
                30,
            )
            assert good, heard
    finally:
        client.disconnect()
        client.loop_stop()


def publish(device: LocalDevice, topic: str, payload: str) -> None:
    """Publish a retained message, as the agent does with an operation."""
    client = _client()
    client.connect("127.0.0.1", device.port)
    client.loop_start()
    client.publish(topic, payload, 1, retain=True).wait_for_publish(20)
    client.disconnect()
    client.loop_stop()


class Telemetry:
    """A program of the device that publishes messages of QoS 1 at a steady rate, on two topics in turn."""

    TOPICS = ("c8y/s/us", "te/device/main///m/load")

    def __init__(self, device: LocalDevice, rate: float = 20.0) -> None:
        self.losses, self.sent = 0, 0
        self._device, self._rate = device, rate
        self._ended, self._changed = threading.Event(), threading.Condition()
        self._client = _client()
        self._client.on_disconnect = self._lost
        self._client.connect("127.0.0.1", device.port)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._publish)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()
        self._client.on_disconnect = None
        self._client.disconnect()
        self._client.loop_stop()

    def wait_sent(self, count: int) -> None:
        """Wait until the broker has so many messages."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.sent >= count, 20)

    def arrived(self) -> set[int]:
        """Wait for the last message at the tenant, and return the numbers of all that have come."""
        wanted = set(range(self.sent))
        deadline_s = time.monotonic() + 20
        while True:
            payloads = [each["payload"] for each in self._device.tenant.messages(self._device.device_id)]
            found = {int(each[1] or each[2]) for payload in payloads if (each := _LOAD.search(payload))}
            if wanted <= found or time.monotonic() > deadline_s:
                return wanted & found
            # The tenant waits for a number of messages, and some come twice.
            time.sleep(0.1)

    def _publish(self) -> None:
        due_s = time.monotonic()
        while not self._ended.wait(max(0.0, due_s - time.monotonic())):
            topic = self.TOPICS[self.sent % 2]
            payload = f'{{"load": {self.sent}}}' if topic.startswith("te/") else f"200,load,{self.sent}"
            self._client.publish(topic, payload, 1).wait_for_publish(20)
            with self._changed:
                self.sent += 1
                self._changed.notify_all()
            due_s += 1 / self._rate

    def _lost(self, *_: object) -> None:
        self.losses += 1


def _client() -> paho.Client:
    old = not hasattr(paho, "CallbackAPIVersion")
    options: Any = {} if old else {"callback_api_version": vars(paho)["CallbackAPIVersion"].VERSION2}
    return paho.Client(**options)
