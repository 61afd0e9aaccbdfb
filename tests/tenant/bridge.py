# SPDX-License-Identifier: Apache-2.0
"""A mosquitto bridged to the tenant as thin-edge bridges it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

from tenant.device import Device, new_client
from tenant.ports import free_port

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin")
_CONFIGURATION = """\
user root
listener {port} 127.0.0.1
allow_anonymous true
connection edge
address localhost:{device.tenant.mqtt_port}
remote_clientid {device.name}
bridge_cafile {device.tenant.server_ca}
bridge_certfile {device.cert}
bridge_keyfile {device.key}
try_private {private}
cleansession true
notifications true
notifications_local_only true
notification_topic health
bridge_attempt_unsubscribe false
restart_timeout 1
topic s/us out 1 c8y/ ""
topic s/uat out 0 c8y/ ""
topic s/dat in 0 c8y/ ""
topic s/ds in 1 c8y/ ""
"""


@contextmanager
def bridged(mosquitto: str, device: Device, directory: Path, private: str = "false") -> Iterator[paho.Client]:
    """A client of a mosquitto that is bridged as the device; what it hears, the device heard."""
    port, file = free_port(), directory / "mosquitto.conf"
    file.write_text(_CONFIGURATION.format(port=port, device=device, private=private))

    def subscribe(client: paho.Client, *_: Any) -> None:
        client.subscribe([("health", 1), ("c8y/s/dat", 0), ("c8y/s/ds", 1)])

    with subprocess.Popen([mosquitto, "-c", str(file)], stderr=subprocess.DEVNULL) as broker:
        client = new_client()
        client.on_connect = subscribe
        client.on_message = lambda _c, _u, found: device.heard.put((found.topic, found.payload.decode()))
        client.reconnect_delay_set(1, 1)
        client.connect_async("127.0.0.1", port)
        client.loop_start()
        try:
            yield client
        finally:
            client.disconnect()
            client.loop_stop()
            broker.terminate()
