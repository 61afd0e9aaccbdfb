# SPDX-License-Identifier: Apache-2.0
"""``tedge connect``: configure and start the bridge in the local mosquitto, and enable the hourly check."""

from pathlib import Path

from tedge_cert import journal, processes, systemd
from tedge_cert.bridge import conf_change
from tedge_cert.commands import drop_in, switch_by_hand, takeover
from tedge_cert.commands.connection_check import check, summary
from tedge_cert.config import credentials
from tedge_cert.config.values import to_text
from tedge_cert.device import profiles
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance
from tedge_cert.errors import REJECTED, TedgeCertError
from tedge_cert.net import anchors
from tedge_cert.tenant import alarm, proof
from tedge_cert.terminal import Step
from tedge_cert.x509 import certificate, clock, keys


def connect(instance: Instance, offline: bool, what: str = "Connecting to") -> int:
    """Configure the bridge, start it, check that it works, and enable the hourly check; return the exit code.

    It is 3 if the device is connected, but not with the candidate that was there. Raises TedgeCertError.
    """
    prepare(instance, what)
    _refuse_second(instance)
    with custody(instance, keep_root=True):
        # Another command may have connected the device while this one waited for the lock.
        _refuse_second(instance)
        switched = switch_by_hand.switch_first(instance, offline)
        active = load_active(instance)
        if not offline:
            _announce(instance, active)
        before = _configure(instance)
    if not instance.manages_services:
        journal.warning(
            "no service manager: the bridge is configured, start mosquitto yourself and call "
            "`tedge cert needs-renewal`, `renew` and `verify` from cron"
        )
        return 0
    try:
        conf_change.restart(instance, before)
    except TedgeCertError:
        _disable_timer(instance)
        raise
    if not (offline or _is_working(instance)):
        raise TedgeCertError(
            f"the bridge is configured, but the connection check failed; `tedge connect {instance.words} --test` "
            "repeats it"
        )
    # The tenant gets the certificate's dates now, not at the first renewal.
    alarm.tell(instance)
    return exit_code(instance, switched)


def _configure(instance: Instance) -> conf_change.Before:
    """Enable the timer, then write the files, so that an interruption leaves no bridge without a renewal."""
    if not instance.manages_services:
        return conf_change.configure(instance)
    try:
        with Step(f"Enabling {instance.timer}"):
            systemd.systemctl("enable", "--now", instance.timer)
    except TedgeCertError as error:
        image = f"where /etc is read-only, `systemctl enable {instance.timer}` when the image is made"
        raise TedgeCertError(f"cannot enable {instance.timer}: {error}; {image} (tedge-first-boot(7))") from error
    try:
        return conf_change.configure(instance)
    except TedgeCertError:
        _disable_timer(instance)
        raise


def _disable_timer(instance: Instance) -> None:
    """Disable the timer, unless an earlier attempt left a bridge."""
    if not instance.bridge_file.exists():
        processes.run(["systemctl", "disable", "--now", instance.timer])


def _refuse_second(instance: Instance) -> None:
    if instance.bridge_file.exists() and not conf_change.is_unfinished(instance):
        raise TedgeCertError(
            f"already connected ({instance.bridge_file} exists); `tedge reconnect {instance.words}` takes a new "
            f"certificate or changed settings, `tedge connect {instance.words} --test` checks the connection, "
            f"`tedge disconnect {instance.words}` ends it"
        )


def _announce(instance: Instance, active: certificate.Certificate | None) -> None:
    if active is not None:
        clock.check_presentable(active, instance.certificate)
    with Step("Announcing the device to the tenant"):
        verdict = proof.prove_own(instance)
        if not verdict.accepted:
            unknown = verdict.refused and active is not None and active.is_self_signed
            first = f", `tedge cert upload {instance.words}` first" if unknown else ""
            raise TedgeCertError(f"cannot connect{first}: {verdict.reason}; no bridge was configured")


def load_active(instance: Instance) -> certificate.Certificate | None:
    """Load the active certificate, which must fit the key; None with user and password. Raises CertificateError."""
    if instance.uses_basic:
        return None
    active = certificate.load(instance.certificate)
    keys.load_for(instance.key, active, instance.certificate)
    return active


def exit_code(instance: Instance, switched: switch_by_hand.Outcome) -> int:
    """Return 3 if the device is connected without the new certificate, else 0."""
    if not switched.left_out:
        return 0
    active = f"{instance.certificate} is in use"
    journal.warning(f"connected, but not with the new certificate: {active}; the lines above say why")
    return REJECTED


def _is_working(instance: Instance) -> bool:
    try:
        check(instance)
    except TedgeCertError as error:
        journal.error(str(error))
        return False
    return True


def prepare(instance: Instance, what: str) -> None:
    """Print what is about to be connected, and check that it does not conflict with other profiles.

    Owners and modes that other programs left are mended, so that bridge and renewer can both read; the renewal is let
    write where the certificate is kept.
    """
    if instance.manages_services and not systemd.is_installed("mosquitto.service"):
        raise TedgeCertError(
            "mosquitto is not installed, and its bridge is the connection to the cloud: `apt install mosquitto`, then "
            "try again"
        )
    takeover.check_accounts(instance)
    takeover.give_owners(instance)
    journal.say(summary(instance, what))
    profiles.check_conflicts(instance)
    _warn_of_proxy(instance)
    anchors.check(instance.trust)
    if instance.uses_basic:
        credentials.warn_if_exposed(instance.credentials_path)
    elif instance.manages_services:
        drop_in.update(instance)
        drop_in.warn_if_shut(instance)
    local_password = instance.config.get("mqtt.client.auth.password_file")
    if local_password is not None:
        credentials.warn_if_exposed(Path(to_text(local_password)))
    takeover.tidy_links(instance.bridge_file.parent)


def _warn_of_proxy(instance: Instance) -> None:
    """Warn that the bridge does not use the proxy, if one is set."""
    address = instance.config.get("proxy.address")
    if address is not None:
        host, port = instance.mqtt
        journal.warning(
            f"proxy.address ({to_text(address)}) is for HTTPS only: mosquitto's bridge cannot use a proxy and "
            f"connects to {host}:{port} directly"
        )
