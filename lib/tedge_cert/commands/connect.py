# SPDX-License-Identifier: Apache-2.0
"""``tedge connect``: configure and start the bridge in the local mosquitto, and enable the hourly check."""

import os
from pathlib import Path

from tedge_cert import cures, journal
from tedge_cert.bridge import conf_change
from tedge_cert.commands import broker_files, drop_in, provider_files, switch_by_hand
from tedge_cert.commands.connection_check import check, summary
from tedge_cert.commands.root_tasks import Root
from tedge_cert.config import auth_method, credentials, token_settings
from tedge_cert.device import profiles, state, token_key
from tedge_cert.device.connection_settings import broker_of, files_of, mosquitto_of, tenant_of
from tedge_cert.device.connections import Tenant
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance, check_files, warn_of_id
from tedge_cert.device.mosquitto import Mosquitto
from tedge_cert.disk import privileges
from tedge_cert.errors import REJECTED, TedgeCertError
from tedge_cert.net import anchors
from tedge_cert.net.tls import UNKNOWN_AUTHORITY
from tedge_cert.steps import outcome
from tedge_cert.tenant import proof
from tedge_cert.tenant.own_connection import Verdict
from tedge_cert.terminal import step
from tedge_cert.x509 import certificate, clock, hardware_keys, keys, token


def connect(instance: Instance, offline: bool, what: str = "Connecting to") -> int:
    """Configure the bridge, start it, check that it works, and enable the hourly check; return the exit code.

    It is 3 if the device is connected, but not with the candidate that was there. Raises TedgeCertError.
    """
    root = Root(instance)
    tenant = prepare(root, instance, what)
    _refuse_second(instance)
    with custody(instance):
        # Another command may have connected the device while this one waited for the lock.
        _refuse_second(instance)
        switched = switch_by_hand.switch_first(instance, offline)
        active = load_active(instance)
        if not offline:
            _announce(instance, tenant, active)
        _configure(root, instance, mosquitto_of(instance, tenant))
        state.set_disconnected(instance.state_file, 0)
    if not instance.manages_services:
        journal.warning(
            "no service manager: the bridge is configured, start mosquitto yourself and call "
            "`tedge cert needs-renewal`, `renew` and `verify` from cron"
        )
        return 0
    try:
        broker_files.restart(root, instance, broker_of(instance))
    except TedgeCertError:
        _disable_timer(root, instance)
        raise
    if not offline:
        try:
            check(instance, tenant)
        except TedgeCertError as error:
            journal.error(str(error))
            raise TedgeCertError(
                f"the bridge is configured, but the connection check failed; `tedge connect {instance.words} --test` "
                "repeats it"
            ) from error
    if not switched.left_out:
        root.reset_failed()
    # The tenant gets the certificate's dates now, not at the first renewal.
    outcome.tell_fleet(instance)
    return exit_code(instance, switched)


def _configure(root: Root, instance: Instance, wanted: Mosquitto) -> None:
    """Enable the timer, then write the files, so that an interruption leaves no bridge without a renewal."""
    if not instance.manages_services:
        broker_files.configure(root, files_of(instance), wanted)
        return
    try:
        with step(f"Enabling {instance.timer}"):
            root.systemctl("enable", "--now", instance.timer)
    except TedgeCertError as error:
        image = f"where /etc is read-only, `sudo systemctl enable {instance.timer}` when the image is made"
        raise TedgeCertError(f"cannot enable {instance.timer}: {error}; {image} (tedge-first-boot(7))") from error
    try:
        broker_files.configure(root, files_of(instance), wanted)
    except TedgeCertError:
        _disable_timer(root, instance)
        raise


def _disable_timer(root: Root, instance: Instance) -> None:
    """Disable the timer, unless an earlier attempt left a bridge."""
    if not instance.bridge_file.exists():
        try:
            root.systemctl("disable", "--now", instance.timer)
        except TedgeCertError as error:
            # The command ends with the failure that led here.
            journal.warning(str(error))


def _refuse_second(instance: Instance) -> None:
    if instance.bridge_file.exists() and not conf_change.is_unfinished(files_of(instance)):
        raise TedgeCertError(
            f"already connected ({instance.bridge_file} exists); `sudo tedge reconnect {instance.words}` takes a new "
            f"certificate or changed settings, `tedge connect {instance.words} --test` checks the connection, "
            f"`sudo tedge disconnect {instance.words}` ends it"
        )


def _announce(instance: Instance, tenant: Tenant, active: certificate.Certificate | None) -> None:
    if active is not None:
        clock.check_presentable(active, instance.certificate)
    with step("Announcing the device to the tenant"):
        verdict = proof.prove_own(tenant)
        if not verdict.accepted:
            first, then = _what_to_upload(instance, verdict, active) if active is not None else ("", "")
            raise TedgeCertError(f"cannot connect{first}: {verdict.reason}; no bridge was configured{then}")


def _what_to_upload(instance: Instance, verdict: Verdict, active: certificate.Certificate) -> tuple[str, str]:
    """Return what the tenant has to know before it takes ``active``: words for the begin and the end of the error."""
    if active.is_self_signed and verdict.refused:
        return f", `tedge cert upload {instance.words}` first", ""
    # Without an authority of the operator's, the certificate is one of another tenant.
    if verdict.alert in UNKNOWN_AUTHORITY and instance.config.get("c8y.est.url") is not None:
        return "", f": {cures.trust(active.issuer)}, then {cures.command('connect')}"
    return "", ""


def load_active(instance: Instance) -> certificate.Certificate | None:
    """Load the active certificate, which must fit the key; None with user and password. Raises CertificateError."""
    if auth_method.is_basic(instance.config):
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


def prepare(root: Root, instance: Instance, what: str) -> Tenant:
    """Print what is about to be connected, check that it does not conflict with other profiles; return the tenant.

    Owners and modes that other programs left are mended, so that bridge and renewer can both read; the renewal is let
    write where the certificate is kept.
    """
    if instance.manages_services and not root.broker_is_installed():
        raise TedgeCertError(
            "mosquitto is not installed, and its bridge is the connection to the cloud: `sudo apt install mosquitto`, "
            "then try again"
        )
    _check_accounts(instance)
    if not auth_method.is_basic(instance.config):
        check_files(instance)
        _check_key_in_hardware(root, instance)
    root.restore_owners()
    tenant = tenant_of(instance)
    journal.say(summary(instance, tenant, what))
    if tenant.credentials_path is None:
        warn_of_id(tenant.device_id)
    profiles.check_conflicts(instance)
    _warn_of_proxy(instance, tenant)
    anchors.check(tenant.trust)
    if tenant.credentials_path is not None:
        credentials.warn_if_exposed(tenant.credentials_path)
    elif instance.manages_services:
        root.update_drop_in()
        drop_in.warn_if_shut(instance)
    local_password = instance.config.text("mqtt.client.auth.password_file")
    if local_password is not None:
        credentials.warn_if_exposed(Path(local_password))
    root.tidy_links()
    return tenant


def _check_key_in_hardware(root: Root, instance: Instance) -> None:
    """Sign with a key in TPM or token before anything is restarted, and keep what mosquitto needs for it up to date."""
    if token_settings.of(instance.config, instance.cloud):
        with custody(instance):
            token_key.settle(instance)
    content = hardware_keys.content_at(instance.key)
    kind = hardware_keys.kind_in(content)
    if not kind:
        return
    hardware_keys.load(instance.key, content).sign(b"tedge")
    changed = root.update_provider(tpm=kind == hardware_keys.TPM)
    if kind == hardware_keys.TOKEN:
        _check_broker(root, instance)
        _warn_of_pin(instance)
    if changed or (kind == hardware_keys.TOKEN and provider_files.has_withheld_pin()):
        # The broker reads it when it starts.
        conf_change.begin(files_of(instance))


def _check_broker(root: Root, instance: Instance) -> None:
    """Raise TedgeCertError if the bridge, as user mosquitto, could not use the key that user tedge can use."""
    if instance.manages_services and not root.can_broker_sign():
        raise TedgeCertError(
            f"user tedge can use the private key {instance.key}, but user mosquitto, whose bridge needs it, cannot: "
            "let it read the PIN and reach the token, as user tedge; with SoftHSM "
            f"`{token.OPEN_SOFTHSM}`, group softhsm"
        )


def _warn_of_pin(instance: Instance) -> None:
    found = token_settings.of(instance.config, instance.cloud)
    if found is not None and found.pin_setting:
        journal.warning(
            f"every user of this device can read {found.pin_setting}: `sudo tedge config set "
            f"{token_settings.PIN_PATH} {found.pin_file}`, then `sudo tedge config unset {found.pin_setting}`"
        )


def _warn_of_proxy(instance: Instance, tenant: Tenant) -> None:
    """Warn that the bridge does not use the proxy, if one is set."""
    address = instance.config.text("proxy.address")
    if address is not None:
        host, port = tenant.mqtt
        journal.warning(
            f"proxy.address ({address}) is for HTTPS only: mosquitto's bridge cannot use a proxy and "
            f"connects to {host}:{port} directly"
        )


def _check_accounts(instance: Instance) -> None:
    """Raise TedgeCertError if the accounts of the service are gone: it could not read what root writes.

    Purging thin-edge's package deletes them and all of /etc/tedge. The renewer then cannot start, and systemd takes
    that for an hour with nothing to do.
    """
    missing = privileges.missing_accounts()
    if missing and instance.config.is_of_system and os.geteuid() == 0:
        raise TedgeCertError(
            f"there is no {missing[0]} on this device, so nothing can renew its certificate; "
            "`sudo apt install --reinstall tedge-cert-renewer` creates it, and restores what purging thin-edge's "
            "package deleted"
        )
