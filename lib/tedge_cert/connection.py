# SPDX-License-Identifier: Apache-2.0
"""Connecting and disconnecting: the bridge in the local mosquitto, and the timer that keeps its certificate valid."""

from pathlib import Path

from tedge_cert import certificate, checks, files, journal, keys, mosquitto, proof, service_manager
from tedge_cert.connection_check import check_after_restart, manages_services, summary, wait_for_broker
from tedge_cert.errors import REJECTED, NoAnswerError, TedgeCertError
from tedge_cert.instance import Instance
from tedge_cert.lock import locked
from tedge_cert.progress import Step
from tedge_cert.switch import Switch
from tedge_cert.verification import finish, promote_candidate


def connect(instance: Instance, offline: bool) -> int:
    """Configure the bridge, start it, see it work, and enable the hourly check; the exit code.

    3 when the device is connected, but not with the candidate that was there. Raises TedgeCertError.
    """
    journal.say(summary(instance, "Connecting to"))
    _refuse_second(instance)
    _adapt_owners(instance)
    with locked(instance.certificate, instance.run_directory):
        # Somebody else may have connected the device while this waited.
        _refuse_second(instance)
        switched = _switch_first(instance, offline)
        active = _active(instance)
        if not offline:
            _announce(instance, active)
        before = _configure(instance)
    if not manages_services(instance):
        journal.warning(
            "no service manager: the bridge is configured, start mosquitto yourself and call "
            "`tedge cert needs-renewal`, `renew` and `verify` from cron"
        )
        return 0
    # Before the broker, so that whoever interrupts this leaves no connected device whose certificate nobody renews.
    with Step(f"Enabling {instance.timer}"):
        service_manager.systemctl("enable", "--now", instance.timer)
    _restart_broker(instance, before)
    working = offline or check_after_restart(instance)
    if not working:
        raise TedgeCertError(
            "the bridge is configured, but the connection check failed; `tedge connect c8y --test` repeats it"
        )
    if not switched:
        journal.warning(f"connected, but not with the new certificate {instance.candidate}")
        return REJECTED
    return 0


def disconnect(instance: Instance) -> bool:
    """Remove the bridge and disable the hourly check; whether there was a bridge.

    A renewal under way is waited for: it would otherwise look for a bridge that is no more.
    """
    with Step("Removing the bridge"):
        if not instance.bridge_file.exists():
            return False
        with locked(instance.certificate, instance.run_directory):
            mosquitto.bridge_placement(instance).remove()
    if Switch.of(instance).is_unfinished:
        journal.warning(f"the switch of the certificate is unfinished: {instance.previous} stays until `tedge connect`")
    if not manages_services(instance):
        journal.warning("no service manager: restart mosquitto yourself")
        return True
    if service_manager.is_active("mosquitto.service"):
        with Step("Restarting mosquitto"):
            service_manager.systemctl("restart", "mosquitto.service")
    with Step(f"Disabling {instance.timer}"):
        service_manager.systemctl("disable", "--now", instance.timer)
    return True


def _refuse_second(instance: Instance) -> None:
    if instance.bridge_file.exists():
        raise TedgeCertError(
            f"already connected ({instance.bridge_file} exists); `tedge disconnect c8y` ends the connection, "
            "`tedge connect c8y --test` checks it"
        )


def _adapt_owners(instance: Instance) -> None:
    """Mend owners and modes that other programs left, so that bridge and renewer can both read."""
    if instance.certificate.parent == Path(instance.config.directory) / "device-certs":
        files.adapt(instance.certificate.parent, files.SHARED_DIRECTORY)
    kinds = (
        (instance.key, files.PRIVATE_KEY),
        (instance.certificate, files.CERTIFICATE),
        (instance.csr, files.CERTIFICATE),
    )
    for path, access in kinds:
        files.adapt(path, access)


def _active(instance: Instance) -> certificate.Certificate:
    active = certificate.load(instance.certificate)
    keys.load_for(instance.key, active, instance.certificate)
    return active


def _switch_first(instance: Instance, offline: bool) -> bool:
    """Finish what was begun, then go on with a candidate; whether there is none left that is not in use."""
    switch = Switch.of(instance)
    switch.settle()
    try:
        if switch.is_unfinished and not offline:
            finish(instance, switch)
    except NoAnswerError as error:
        journal.warning(str(error))
        return True
    except TedgeCertError as error:
        journal.warning(str(error))
    if not switch.has_candidate:
        return True
    if offline:
        journal.info(f"offline: the new certificate {switch.candidate} is not proved and not used")
        return False
    try:
        promote_candidate(instance, switch)
    except TedgeCertError as error:
        journal.warning(f"{error}; going on with {switch.certificate}")
        return False
    return True


def _announce(instance: Instance, active: certificate.Certificate) -> None:
    checks.check_presentable(active, instance.certificate)
    with Step("Announcing the device to the tenant"):
        verdict = proof.prove(instance, instance.certificate)
        if not verdict.accepted:
            first = ", `tedge cert upload c8y` first" if verdict.refused and active.is_self_signed else ""
            raise TedgeCertError(f"cannot connect{first}: {verdict.reason}; no bridge was configured")


def _configure(instance: Instance) -> list[tuple[mosquitto.Placement, str | None]]:
    """Write what mosquitto reads; each place with what it held before."""
    with Step("Configuring the bridge in mosquitto"):
        listener, bridge = mosquitto.listener_placement(instance), mosquitto.bridge_placement(instance)
        before = [(listener, listener.text()), (bridge, bridge.text())]
        listener.install(mosquitto.listener_text(instance))
        bridge.install(mosquitto.bridge_text(instance))
    return before


def _restart_broker(instance: Instance, before: list[tuple[mosquitto.Placement, str | None]]) -> None:
    """Restart mosquitto with the new configuration, or with the one before if it does not start."""
    try:
        with Step("Restarting mosquitto"):
            service_manager.systemctl("restart", "mosquitto.service")
        with Step("Waiting for mosquitto"):
            wait_for_broker(instance)
        service_manager.systemctl("enable", "mosquitto.service")
    except TedgeCertError:
        journal.warning("putting mosquitto's configuration back as it was, so that it can start")
        for placement, text in reversed(before):
            placement.restore(text)
        service_manager.run(["systemctl", "disable", "--now", instance.timer])
        service_manager.run(["systemctl", "restart", "mosquitto.service"])
        raise
