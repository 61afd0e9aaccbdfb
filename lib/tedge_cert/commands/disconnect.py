# SPDX-License-Identifier: Apache-2.0
"""``tedge disconnect``: remove the bridge, and disable the hourly check of its certificate."""

import os
import time

from tedge_cert import journal, systemd
from tedge_cert.bridge import conf_change
from tedge_cert.commands.root_tasks import Root
from tedge_cert.device import state
from tedge_cert.device.connection_settings import files_of
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance
from tedge_cert.errors import TedgeCertError
from tedge_cert.terminal import step


def disconnect(instance: Instance) -> bool:
    """Remove the bridge and disable the hourly check; return whether there was a bridge. Raises TedgeCertError.

    Waits for a renewal that runs, which would otherwise look for the bridge in vain.
    """
    of, root = files_of(instance), Root(instance)
    with step("Removing the bridge"):
        if not instance.bridge_file.exists() and not conf_change.is_unfinished(of):
            root.tidy_links()
            return False
        with custody(instance, checked=False):
            # First, because a further call after a kill finds nothing to do, and cleans nothing up, without a bridge.
            state.set_disconnected(instance.state_file, int(time.time()))
            conf_change.begin(of)
            root.remove_bridge()
    if os.path.lexists(instance.previous):
        journal.warning(
            f"the switch of the certificate is unfinished: {instance.previous} stays until "
            f"`sudo tedge connect {instance.words}`"
        )
    if not instance.manages_services:
        journal.warning("no service manager: restart mosquitto yourself; its bridge stays connected until then")
        return True
    try:
        if systemd.is_active("mosquitto.service"):
            with step("Restarting mosquitto"):
                root.restart_broker()
        with step(f"Disabling {instance.timer}"):
            root.systemctl("disable", "--now", instance.timer)
    except TedgeCertError as error:
        raise TedgeCertError(
            f"{instance.bridge_file} is removed, but {error}; restart mosquitto and disable {instance.timer} yourself"
        ) from error
    conf_change.end(of)
    root.remove_drop_in()
    return True
