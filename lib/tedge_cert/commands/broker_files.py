# SPDX-License-Identifier: Apache-2.0
"""Give mosquitto changed files, and what it had before if it does not start with them."""

from tedge_cert import journal
from tedge_cert.bridge import conf_change, mosquitto_conf
from tedge_cert.bridge.health import wait_for_broker
from tedge_cert.commands.root_tasks import Root
from tedge_cert.device.connections import LocalBroker, Mosquitto, MosquittoFiles
from tedge_cert.errors import TedgeCertError
from tedge_cert.terminal import Step


def configure(root: Root, of: MosquittoFiles, wanted: Mosquitto) -> None:
    """Write what mosquitto reads; raises TedgeCertError, with the files as they were."""
    with Step("Configuring the bridge in mosquitto"):
        conf_change.begin(of)
        try:
            root.write_broker_files(mosquitto_conf.look(wanted))
        except TedgeCertError:
            conf_change.end(of)
            raise


def restart(root: Root, of: MosquittoFiles, broker: LocalBroker) -> None:
    """Restart mosquitto with the new configuration, or with the one before if it does not start."""
    try:
        with Step("Restarting mosquitto"):
            root.restart_broker()
        with Step("Waiting for mosquitto"):
            wait_for_broker(broker)
        root.systemctl("enable", "mosquitto.service")
    except TedgeCertError:
        put_back(root, of)
        raise
    conf_change.end(of)


def put_back(root: Root, of: MosquittoFiles) -> None:
    """Give mosquitto the configuration that it had, and restart it."""
    conf_change.begin(of)
    root.restore_broker_files()
    try:
        root.restart_broker()
    except TedgeCertError as error:
        # The command ends with the failure that led here.
        journal.warning(f"{error}; `systemctl status mosquitto.service` tells why")
    else:
        conf_change.end(of)
