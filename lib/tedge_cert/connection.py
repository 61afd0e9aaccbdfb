# SPDX-License-Identifier: Apache-2.0
"""Connecting and disconnecting: the bridge in the local mosquitto, and the timer that keeps its certificate valid."""

from tedge_cert import (
    adoption,
    certificate,
    checks,
    fleet_news,
    journal,
    keys,
    mosquitto,
    pending,
    proof,
    service_manager,
)
from tedge_cert.connection_check import check, manages_services, wait_for_broker
from tedge_cert.custody import custody
from tedge_cert.errors import REJECTED, TedgeCertError
from tedge_cert.instance import Instance
from tedge_cert.listener import text_of_listener
from tedge_cert.preparation import prepare
from tedge_cert.progress import Step
from tedge_cert.switch import Switch

Before = list[tuple[mosquitto.Placement, str | None]]


def connect(instance: Instance, offline: bool, what: str = "Connecting to", allow_path: bool = False) -> int:
    """Configure the bridge, start it, see it work, and enable the hourly check; the exit code.

    3 when the device is connected, but not with the candidate that was there. Raises TedgeCertError.
    """
    prepare(instance, what, allow_path)
    _refuse_second(instance)
    with custody(instance, keep_root=True):
        # Somebody else may have connected the device while this waited.
        _refuse_second(instance)
        switched = pending.switch_first(instance, offline)
        active = load_active(instance)
        if not offline:
            _announce(instance, active)
        before = configure(instance)
    if not manages_services(instance):
        journal.warning(
            "no service manager: the bridge is configured, start mosquitto yourself and call "
            "`tedge cert needs-renewal`, `renew` and `verify` from cron"
        )
        return 0
    # Before the broker, so that whoever interrupts this leaves no connected device whose certificate nobody renews.
    _enable_timer(instance, before)
    try:
        restart_broker(instance, before)
    except TedgeCertError:
        service_manager.run(["systemctl", "disable", "--now", instance.timer])
        raise
    if not (offline or _is_working(instance)):
        raise TedgeCertError(
            f"the bridge is configured, but the connection check failed; `tedge connect {instance.words} --test` "
            "repeats it"
        )
    # So that the tenant need not wait for the first renewal to know the certificate.
    fleet_news.tell(instance)
    return exit_code(instance, switched)


def disconnect(instance: Instance) -> bool:
    """Remove the bridge and disable the hourly check; whether there was a bridge. Raises TedgeCertError.

    A renewal under way is waited for: it would otherwise look for a bridge that is no more.
    """
    with Step("Removing the bridge"):
        if not instance.bridge_file.exists():
            adoption.tidy_links(instance.bridge_file.parent)
            return False
        with custody(instance, keep_root=True):
            mosquitto.bridge_placement(instance).remove()
    if Switch.of(instance).is_unfinished:
        journal.warning(
            f"the switch of the certificate is unfinished: {instance.previous} stays until "
            f"`tedge connect {instance.words}`"
        )
    if not manages_services(instance):
        journal.warning("no service manager: restart mosquitto yourself, till then its bridge stays connected")
        return True
    try:
        if service_manager.is_active("mosquitto.service"):
            with Step("Restarting mosquitto"):
                service_manager.restart("mosquitto.service")
        with Step(f"Disabling {instance.timer}"):
            service_manager.systemctl("disable", "--now", instance.timer)
    except TedgeCertError as error:
        raise TedgeCertError(
            f"{instance.bridge_file} is removed, but {error}; restart mosquitto and disable {instance.timer} yourself"
        ) from error
    return True


def _enable_timer(instance: Instance, before: Before) -> None:
    try:
        with Step(f"Enabling {instance.timer}"):
            service_manager.systemctl("enable", "--now", instance.timer)
    except TedgeCertError:
        put_back(before)
        raise


def _refuse_second(instance: Instance) -> None:
    if instance.bridge_file.exists():
        raise TedgeCertError(
            f"already connected ({instance.bridge_file} exists); `tedge reconnect {instance.words}` takes a new "
            f"certificate or changed settings, `tedge connect {instance.words} --test` checks the connection, "
            f"`tedge disconnect {instance.words}` ends it"
        )


def _announce(instance: Instance, active: certificate.Certificate | None) -> None:
    if active is not None:
        checks.check_presentable(active, instance.certificate)
    with Step("Announcing the device to the tenant"):
        verdict = proof.prove_own(instance)
        if not verdict.accepted:
            unknown = verdict.refused and active is not None and active.is_self_signed
            first = f", `tedge cert upload {instance.words}` first" if unknown else ""
            raise TedgeCertError(f"cannot connect{first}: {verdict.reason}; no bridge was configured")


def load_active(instance: Instance) -> certificate.Certificate | None:
    """The active certificate, known to fit the key; None where user and password are used. Raises CertificateError."""
    if instance.uses_basic:
        return None
    active = certificate.load(instance.certificate)
    keys.load_for(instance.key, active, instance.certificate)
    return active


def exit_code(instance: Instance, switched: pending.Outcome) -> int:
    """The code of a device that is connected, but may not be so with its new certificate."""
    if not switched.left_out:
        return 0
    journal.warning(
        f"connected, but not with the new certificate: {instance.certificate} is the one in use, see the lines above "
        "for the reason"
    )
    return REJECTED


def configure(instance: Instance) -> Before:
    """Write what mosquitto reads; each place with what it held before."""
    with Step("Configuring the bridge in mosquitto"):
        listener, bridge = mosquitto.listener_placement(instance), mosquitto.bridge_placement(instance)
        before = [(listener, listener.text()), (bridge, bridge.text())]
        listener.put(text_of_listener(instance))
        bridge.install(mosquitto.bridge_text(instance))
    return before


def restart_broker(instance: Instance, before: Before) -> None:
    """Restart mosquitto with the new configuration, or with the one before if it does not start."""
    try:
        with Step("Restarting mosquitto"):
            service_manager.restart("mosquitto.service")
        with Step("Waiting for mosquitto"):
            wait_for_broker(instance)
        service_manager.systemctl("enable", "mosquitto.service")
    except TedgeCertError:
        put_back(before)
        raise


def put_back(before: Before) -> None:
    """Give mosquitto the configuration that it had."""
    journal.warning("putting mosquitto's configuration back as it was")
    for placement, text in reversed(before):
        placement.put(text)
    try:
        service_manager.restart("mosquitto.service")
    except TedgeCertError as error:
        # The failure that led here is the one to end with.
        journal.warning(f"{error}; `systemctl status mosquitto.service` tells why")


def _is_working(instance: Instance) -> bool:
    try:
        check(instance)
    except TedgeCertError as error:
        journal.error(str(error))
        return False
    return True
