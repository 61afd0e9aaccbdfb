# SPDX-License-Identifier: Apache-2.0
"""Give mosquitto changed files, and what it had before if it does not start with them."""

import time

from tedge_cert import journal, systemd
from tedge_cert.bridge import conf_change, mosquitto_conf
from tedge_cert.bridge.health import wait_for_broker
from tedge_cert.commands.root_tasks import Root
from tedge_cert.device.connection_settings import files_of
from tedge_cert.device.connections import LocalBroker
from tedge_cert.device.instance import Instance
from tedge_cert.device.mosquitto import Mosquitto, MosquittoFiles
from tedge_cert.errors import TedgeCertError
from tedge_cert.terminal import step


def configure(root: Root, of: MosquittoFiles, wanted: Mosquitto) -> None:
    """Write what mosquitto reads; raises TedgeCertError, with the files as they were."""
    with step("Configuring the bridge in mosquitto"):
        conf_change.begin(of)
        try:
            root.write_broker_files(mosquitto_conf.look(wanted))
        except TedgeCertError:
            conf_change.end(of)
            raise


def restart(root: Root, instance: Instance, broker: LocalBroker) -> None:
    """Restart mosquitto with the new configuration, or with the one before if it does not start."""
    of, since_s = files_of(instance), int(time.time())
    try:
        with step("Restarting mosquitto"):
            root.restart_broker()
        with step("Waiting for mosquitto"):
            wait_for_broker(broker)
        # Debian enables it. To do that again would have systemd read all units three times, for its System V script.
        if not systemd.is_enabled("mosquitto.service"):
            root.systemctl("enable", "mosquitto.service")
    except TedgeCertError as error:
        # Before the restart with the former files, which has words of its own.
        why = failure(root, since_s, error)
        put_back(root, of)
        raise why from error
    conf_change.end(of)


def failure(root: Root, since_s: int, error: TedgeCertError) -> TedgeCertError:
    """Return why mosquitto has not started since ``since_s``, in its own words where it had any."""
    why = root.why_broker_failed(since_s)
    return TedgeCertError(why) if why and not systemd.is_active("mosquitto.service") else error


def put_back(root: Root, of: MosquittoFiles) -> None:
    """Give mosquitto the configuration that it had, and restart it."""
    conf_change.begin(of)
    root.restore_broker_files()
    try:
        root.restart_broker()
    except TedgeCertError as error:
        # The command ends with the failure that led here.
        journal.warning(f"{error}; `sudo journalctl -u mosquitto` tells why")
    else:
        conf_change.end(of)
