# SPDX-License-Identifier: Apache-2.0
"""``tedge disconnect``: remove the bridge, and disable the hourly check of its certificate."""

from tedge_cert import journal, systemd
from tedge_cert.bridge import conf_change, conf_files
from tedge_cert.commands import drop_in, takeover
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files
from tedge_cert.errors import TedgeCertError
from tedge_cert.steps.switch import Switch
from tedge_cert.terminal import Step


def disconnect(instance: Instance) -> bool:
    """Remove the bridge and disable the hourly check; return whether there was a bridge. Raises TedgeCertError.

    Waits for a renewal that runs, which would otherwise look for the bridge in vain.
    """
    with Step("Removing the bridge"):
        if not instance.bridge_file.exists() and not conf_change.is_unfinished(instance):
            takeover.tidy_links(instance.bridge_file.parent)
            return False
        with custody(instance, keep_root=True):
            conf_change.begin(instance)
            conf_files.bridge_placement(instance).remove()
            files.remove_stale_temporaries(instance.bridge_file)
    if Switch.of(instance).is_unfinished:
        journal.warning(
            f"the switch of the certificate is unfinished: {instance.previous} stays until "
            f"`tedge connect {instance.words}`"
        )
    if not instance.manages_services:
        journal.warning("no service manager: restart mosquitto yourself; its bridge stays connected until then")
        return True
    try:
        if systemd.is_active("mosquitto.service"):
            with Step("Restarting mosquitto"):
                systemd.restart("mosquitto.service")
        with Step(f"Disabling {instance.timer}"):
            systemd.systemctl("disable", "--now", instance.timer)
    except TedgeCertError as error:
        raise TedgeCertError(
            f"{instance.bridge_file} is removed, but {error}; restart mosquitto and disable {instance.timer} yourself"
        ) from error
    conf_change.end(instance)
    drop_in.remove(instance)
    return True
