# SPDX-License-Identifier: Apache-2.0
"""Connecting and disconnecting: the bridge in the local mosquitto, and the timer that keeps its certificate valid."""

from tedge_cert import journal, systemd
from tedge_cert.authority import answer_checks
from tedge_cert.bridge import conf_change, mosquitto_conf
from tedge_cert.commands import switch_by_hand, takeover
from tedge_cert.commands.connection_check import check, manages_services
from tedge_cert.commands.preparation import prepare
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files
from tedge_cert.errors import REJECTED, TedgeCertError
from tedge_cert.progress import Step
from tedge_cert.steps.switch import Switch
from tedge_cert.tenant import alarm, proof
from tedge_cert.x509 import certificate, keys


def connect(instance: Instance, offline: bool, what: str = "Connecting to", allow_path: bool = False) -> int:
    """Configure the bridge, start it, see it work, and enable the hourly check; the exit code.

    3 when the device is connected, but not with the candidate that was there. Raises TedgeCertError.
    """
    prepare(instance, what, allow_path)
    _refuse_second(instance)
    with custody(instance, keep_root=True):
        # Somebody else may have connected the device while this waited.
        _refuse_second(instance)
        switched = switch_by_hand.switch_first(instance, offline)
        active = load_active(instance)
        if not offline:
            _announce(instance, active)
        before = _configure(instance)
    if not manages_services(instance):
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
    # So that the tenant need not wait for the first renewal to know the certificate.
    alarm.tell(instance)
    return exit_code(instance, switched)


def disconnect(instance: Instance) -> bool:
    """Remove the bridge and disable the hourly check; whether there was something to do. Raises TedgeCertError.

    A renewal under way is waited for: it would otherwise look for a bridge that is no more.
    """
    with Step("Removing the bridge"):
        if not instance.bridge_file.exists() and not conf_change.is_unfinished(instance):
            takeover.tidy_links(instance.bridge_file.parent)
            return False
        with custody(instance, keep_root=True):
            conf_change.begin(instance)
            mosquitto_conf.bridge_placement(instance).remove()
            files.remove_stale_temporaries(instance.bridge_file)
    if Switch.of(instance).is_unfinished:
        journal.warning(
            f"the switch of the certificate is unfinished: {instance.previous} stays until "
            f"`tedge connect {instance.words}`"
        )
    if not manages_services(instance):
        journal.warning("no service manager: restart mosquitto yourself, till then its bridge stays connected")
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
    return True


def _configure(instance: Instance) -> conf_change.Before:
    """The timer before the files: whoever interrupts this leaves no bridge whose certificate nobody renews."""
    if not manages_services(instance):
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
    """Unless there is a bridge nevertheless, of an earlier attempt."""
    if not instance.bridge_file.exists():
        systemd.run(["systemctl", "disable", "--now", instance.timer])


def _refuse_second(instance: Instance) -> None:
    if instance.bridge_file.exists() and not conf_change.is_unfinished(instance):
        raise TedgeCertError(
            f"already connected ({instance.bridge_file} exists); `tedge reconnect {instance.words}` takes a new "
            f"certificate or changed settings, `tedge connect {instance.words} --test` checks the connection, "
            f"`tedge disconnect {instance.words}` ends it"
        )


def _announce(instance: Instance, active: certificate.Certificate | None) -> None:
    if active is not None:
        answer_checks.check_presentable(active, instance.certificate)
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


def exit_code(instance: Instance, switched: switch_by_hand.Outcome) -> int:
    """The code of a device that is connected, but may not be so with its new certificate."""
    if not switched.left_out:
        return 0
    active = f"{instance.certificate} is the one in use"
    journal.warning(f"connected, but not with the new certificate: {active}, the lines above tell why")
    return REJECTED


def _is_working(instance: Instance) -> bool:
    try:
        check(instance)
    except TedgeCertError as error:
        journal.error(str(error))
        return False
    return True
