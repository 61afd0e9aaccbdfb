# SPDX-License-Identifier: Apache-2.0
"""Seeing whether the device is connected: the broker listens, the bridge is up, and it carries a token."""

import time

from tedge_cert import journal, service_manager
from tedge_cert.bridge import Bridge
from tedge_cert.deadline import Deadline
from tedge_cert.errors import TedgeCertError
from tedge_cert.instance import Instance
from tedge_cert.progress import Step

LISTENING_S = 20.0
BRIDGE_S = 30.0


def test(instance: Instance) -> None:
    """See whether the bridge is connected and carries a token; changes no file. Raises TedgeCertError."""
    journal.say(summary(instance, "Testing the connection to"))
    if not instance.bridge_file.exists():
        raise TedgeCertError(
            f"not connected to c8y: {instance.bridge_file} does not exist; `tedge connect c8y` makes it"
        )
    with Step("Checking that the device is connected"):
        _check(instance, BRIDGE_S)
    journal.say("The connection to c8y works.")


def summary(instance: Instance, what: str) -> str:
    """What is about to be connected, a line each."""
    host, port = instance.mqtt
    rows = {
        "configuration": instance.config.place("c8y.url")[0],
        "device id": instance.device_id,
        "cloud profile": instance.config.profile or "<none>",
        "cloud host": f"{host}:{port}",
        "authentication": "certificate",
        "certificate file": str(instance.certificate),
        "bridge": "mosquitto",
        "service manager": "systemd" if manages_services(instance) else "none",
    }
    return f"{what} Cumulocity:\n" + "\n".join(f"\t{label}: {value}" for label, value in rows.items())


def manages_services(instance: Instance) -> bool:
    """Whether systemd runs, and the configuration is that of its services and not one of a trial elsewhere."""
    return service_manager.is_running() and instance.config.is_of_system


def wait_for_broker(instance: Instance) -> None:
    deadline = Deadline(LISTENING_S)
    while True:
        try:
            Bridge(instance).close()
        except OSError as error:
            if deadline.passed():
                host, port = instance.broker
                raise TedgeCertError(
                    f"mosquitto does not listen on {host}:{port}: {error}; see `journalctl -u mosquitto`"
                ) from error
            # A refused connection says nothing about when the next one will not be.
            time.sleep(0.2)
        else:
            return


def check_after_restart(instance: Instance) -> bool:
    try:
        with Step("Checking that the device is connected"):
            _check(instance, BRIDGE_S)
    except TedgeCertError as error:
        journal.error(str(error))
        return False
    return True


def _check(instance: Instance, timeout_s: float) -> None:
    try:
        with Bridge(instance) as bridge:
            if not bridge.wait_until_up(timeout_s):
                host, port = instance.mqtt
                raise TedgeCertError(
                    f"the bridge to {host}:{port} does not come up: {instance.health_topic} is not 1; "
                    "see `journalctl -u mosquitto` and /var/log/mosquitto/mosquitto.log"
                )
            bridge.token()
    except OSError as error:
        host, port = instance.broker
        raise TedgeCertError(f"no broker at {host}:{port}: {error}; see `systemctl status mosquitto`") from error
