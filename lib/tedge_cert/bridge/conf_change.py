# SPDX-License-Identifier: Apache-2.0
"""Giving mosquitto another configuration: noted from before the first file to the restart that takes it.

Whoever is killed in between leaves a broker that does not know what its files say; the note, which lives as long as
the machine runs, as the broker reads its files whenever it starts, lets the next command see that.
"""

from tedge_cert import journal, systemd
from tedge_cert.bridge import conf_files, mosquitto_conf
from tedge_cert.bridge.health import wait_for_broker
from tedge_cert.bridge.mosquitto_conf import text_of_listener
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners, privileges
from tedge_cert.errors import TedgeCertError
from tedge_cert.terminal import Step

Before = list[tuple[conf_files.Placement, str | None]]


def is_unfinished(instance: Instance) -> bool:
    """Whether the broker may still run with another configuration than its files say."""
    return instance.manages_services and instance.restart_file.exists()


def begin(instance: Instance) -> None:
    """Note that the files are about to change; raises TedgeCertError."""
    if instance.manages_services:
        # In a directory of user tedge, at a path that this user may configure.
        with privileges.dropped():
            files.write(instance.restart_file, b"", owners.HANDOVER)


def end(instance: Instance) -> None:
    """The broker was restarted since."""
    with privileges.dropped(instance.config.is_of_system):
        files.remove(instance.restart_file)


def configure(instance: Instance) -> Before:
    """Write what mosquitto reads; each place with what it held before. Raises TedgeCertError."""
    with Step("Configuring the bridge in mosquitto"):
        begin(instance)
        listener, bridge = conf_files.listener_placement(instance), conf_files.bridge_placement(instance)
        before = [(listener, listener.text()), (bridge, bridge.text())]
        # It may hold a password. One of the listener's is left, for another profile may be writing it.
        files.remove_stale_temporaries(bridge.file)
        try:
            listener.put(text_of_listener(instance))
            bridge.install(mosquitto_conf.bridge_text(instance))
        except TedgeCertError:
            # A bridge's file that mosquitto does not know of would pass for a connection.
            _put(before)
            end(instance)
            raise
    return before


def restart(instance: Instance, before: Before) -> None:
    """Restart mosquitto with the new configuration, or with the one before if it does not start."""
    try:
        with Step("Restarting mosquitto"):
            systemd.restart("mosquitto.service")
        with Step("Waiting for mosquitto"):
            wait_for_broker(instance)
        systemd.systemctl("enable", "mosquitto.service")
    except TedgeCertError:
        put_back(instance, before)
        raise
    end(instance)


def put_back(instance: Instance, before: Before) -> None:
    """Give mosquitto the configuration that it had, and start it with that."""
    begin(instance)
    _put(before)
    try:
        systemd.restart("mosquitto.service")
    except TedgeCertError as error:
        # The failure that led here is the one to end with.
        journal.warning(f"{error}; `systemctl status mosquitto.service` tells why")
    else:
        end(instance)


def _put(before: Before) -> None:
    journal.warning("putting mosquitto's configuration back as it was")
    for placement, text in reversed(before):
        try:
            placement.put(text)
        except TedgeCertError as error:
            # What went wrong first is what the caller tells.
            journal.warning(str(error))
