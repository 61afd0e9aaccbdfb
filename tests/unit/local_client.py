# SPDX-License-Identifier: Apache-2.0
"""A client of the local broker, as the programs of a device are."""

import threading
from typing import Any, Self

import paho.mqtt.client as paho

from unit.local_device import LocalDevice

HEALTH = "te/device/main/service/mosquitto-c8y-bridge/status/health"
WAIT_S = 30.0


class Local:
    """It hears the bridge's health, and notices when the broker drops it."""

    def __init__(self, device: LocalDevice) -> None:
        self._changed = threading.Condition()
        self.health: list[str] = []
        self.connected = False
        self.losses = 0
        old = not hasattr(paho, "CallbackAPIVersion")
        options: Any = {} if old else {"callback_api_version": vars(paho)["CallbackAPIVersion"].VERSION2}
        self.client = paho.Client(**options, reconnect_on_failure=False)
        self.client.on_connect = self._handle_connect
        self.client.on_disconnect = self._handle_disconnect
        self.client.on_message = self._handle_message
        self.client.connect("127.0.0.1", device.port)
        self.client.loop_start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.client.on_disconnect = None
        self.client.disconnect()
        self.client.loop_stop()

    def wait_health(self, wanted: str) -> None:
        """Wait until the bridge is as wanted."""
        with self._changed:
            heard = self._changed.wait_for(lambda: self.health[-1:] == [wanted], WAIT_S)
            assert heard, f"the bridge's health is not {wanted}: {self.health}"

    def _handle_connect(self, client: Any, *_: Any) -> None:
        self.connected = True
        client.subscribe(HEALTH, 1)

    def _handle_disconnect(self, *_: Any) -> None:
        self.losses += 1

    def _handle_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        with self._changed:
            self.health.append(message.payload.decode())
            self._changed.notify_all()
