# SPDX-License-Identifier: Apache-2.0
"""Before anything is connected: what is about to be, whether it can be, and what should be known beforehand."""

from pathlib import Path

from tedge_cert import journal, systemd
from tedge_cert.commands import drop_in, takeover
from tedge_cert.commands.connection_check import manages_services, summary
from tedge_cert.config import credentials
from tedge_cert.config.values import to_text
from tedge_cert.device import profiles
from tedge_cert.device.instance import Instance
from tedge_cert.errors import TedgeCertError
from tedge_cert.net import anchors


def prepare(instance: Instance, what: str, allow_path: bool = False) -> None:
    """Say what is about to be connected, and see that it can be beside the other profiles.

    Owners and modes that other programs left are mended, so that bridge and renewer can both read; with ``allow_path``
    the renewal may write where the certificate is kept.
    """
    if manages_services(instance) and not systemd.is_installed("mosquitto.service"):
        raise TedgeCertError(
            "mosquitto is not installed, whose bridge is the connection to the cloud: `apt install mosquitto`, then "
            "this command again"
        )
    takeover.check_accounts(instance)
    takeover.give_owners(instance)
    journal.say(summary(instance, what))
    profiles.check_conflicts(instance)
    _warn_of_proxy(instance)
    anchors.check(instance.trust)
    if instance.uses_basic:
        credentials.warn_if_exposed(instance.credentials_path)
    elif manages_services(instance):
        if allow_path:
            drop_in.allow(instance)
        drop_in.warn_if_shut(instance)
    local_password = instance.config.get("mqtt.client.auth.password_file")
    if local_password is not None:
        credentials.warn_if_exposed(Path(to_text(local_password)))
    takeover.tidy_links(instance.bridge_file.parent)


def _warn_of_proxy(instance: Instance) -> None:
    """Say that the bridge goes its own way, where a proxy is set."""
    address = instance.config.get("proxy.address")
    if address is not None:
        host, port = instance.mqtt
        journal.warning(
            f"proxy.address ({to_text(address)}) is for HTTPS alone: mosquitto's bridge cannot use a proxy and "
            f"connects to {host}:{port} directly"
        )
