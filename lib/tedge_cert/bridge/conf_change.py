# SPDX-License-Identifier: Apache-2.0
"""Change mosquitto's configuration, with a note from before the first file until the restart that uses it.

A command that is killed in between leaves a broker that does not know what its files say. The note lets the next
command see that. It is kept in /run, because after a boot the broker has read its files.
"""

from tedge_cert import journal, systemd
from tedge_cert.bridge import conf_files, mosquitto_conf
from tedge_cert.bridge.health import wait_for_broker
from tedge_cert.device.connections import LocalBroker, Mosquitto, MosquittoFiles
from tedge_cert.disk import files, owners, privileges
from tedge_cert.errors import TedgeCertError
from tedge_cert.terminal import Step

Before = list[tuple[conf_files.Placement, str | None]]


def is_unfinished(of: MosquittoFiles) -> bool:
    """Return whether the broker may still run with another configuration than its files say."""
    return of.manages_services and of.restart.exists()


def begin(of: MosquittoFiles) -> None:
    """Note that the files are about to change; raises TedgeCertError."""
    if of.manages_services:
        # In a directory of user tedge, at a path that this user may configure.
        with privileges.dropped():
            files.write(of.restart, b"", owners.HANDOVER)


def end(of: MosquittoFiles) -> None:
    """Remove the note: the broker was restarted."""
    with privileges.dropped(of.is_of_system):
        files.remove(of.restart)


def configure(of: MosquittoFiles, wanted: Mosquitto) -> Before:
    """Write what mosquitto reads; return each file with what it held before. Raises TedgeCertError."""
    with Step("Configuring the bridge in mosquitto"):
        begin(of)
        listener, bridge = conf_files.listener_placement(of), conf_files.bridge_placement(of)
        before = [(listener, listener.text()), (bridge, bridge.text())]
        # It may hold a password. A temporary file of the listener is left: another profile may be writing it.
        files.remove_stale_temporaries(bridge.file)
        try:
            listener.put(mosquitto_conf.listener_text(wanted.listener))
            bridge.install(mosquitto_conf.bridge_text(wanted))
        except TedgeCertError:
            # A bridge's file that mosquitto does not know of would pass for a connection.
            _put(before)
            end(of)
            raise
    return before


def restart(of: MosquittoFiles, broker: LocalBroker, before: Before) -> None:
    """Restart mosquitto with the new configuration, or with the one before if it does not start."""
    try:
        with Step("Restarting mosquitto"):
            systemd.restart("mosquitto.service")
        with Step("Waiting for mosquitto"):
            wait_for_broker(broker)
        systemd.systemctl("enable", "mosquitto.service")
    except TedgeCertError:
        put_back(of, before)
        raise
    end(of)


def put_back(of: MosquittoFiles, before: Before) -> None:
    """Give mosquitto the configuration that it had, and restart it."""
    begin(of)
    _put(before)
    try:
        systemd.restart("mosquitto.service")
    except TedgeCertError as error:
        # The command ends with the failure that led here.
        journal.warning(f"{error}; `systemctl status mosquitto.service` tells why")
    else:
        end(of)


def _put(before: Before) -> None:
    journal.warning("putting mosquitto's configuration back as it was")
    for placement, text in reversed(before):
        try:
            placement.put(text)
        except TedgeCertError as error:
            # The caller raises what went wrong first.
            journal.warning(str(error))
