# SPDX-License-Identifier: Apache-2.0
"""``tedge reconnect``: apply a new certificate or changed settings, or make the bridge reconnect; it is not removed."""

import time

from tedge_cert import journal
from tedge_cert.bridge import conf_change, conf_files
from tedge_cert.bridge.health import wait_for_broker
from tedge_cert.bridge.kinds import open_bridge
from tedge_cert.commands import broker_files, connect, switch_by_hand
from tedge_cert.commands.connect import prepare
from tedge_cert.commands.connection_check import check
from tedge_cert.commands.root_tasks import Root
from tedge_cert.config import auth_method
from tedge_cert.device.connection_settings import broker_of, connected_broker, files_of, mosquitto_of
from tedge_cert.device.connections import LocalBroker, Tenant
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance
from tedge_cert.device.mosquitto import Mosquitto
from tedge_cert.errors import NoAnswerError, TedgeCertError
from tedge_cert.steps.confirmation import BRIDGE_WAIT_S
from tedge_cert.tenant.eviction import evict_bridge
from tedge_cert.terminal import step
from tedge_cert.x509 import clock, hardware_keys


def reconnect(instance: Instance, offline: bool) -> int:
    """Finish a switch, use a candidate, apply changed settings, and check the connection; return the exit code.

    It is 3 if the device is connected, but not with the candidate that was there. Raises TedgeCertError; the bridge is
    then as it was.
    """
    # An interrupted command may have written files that the broker has not read: begin from the start.
    if not instance.bridge_file.exists() or conf_change.is_unfinished(files_of(instance)):
        return connect.connect(instance, offline, "Reconnecting to")
    root = Root(instance)
    tenant = prepare(root, instance, "Reconnecting to")
    # Hold the lock to the end: our connections evict the bridge, and so do those of the renewer.
    with custody(instance):
        wanted, broker = mosquitto_of(instance, tenant), connected_broker(instance)
        # `prepare` may have changed what mosquitto needs for a key in the TPM.
        changed = not conf_files.is_current(files_of(instance), wanted) or conf_change.is_unfinished(files_of(instance))
        started = not changed and _start_broker(root, instance, broker)
        switched = switch_by_hand.switch_first(instance, offline)
        active = connect.load_active(instance)
        if changed:
            _take_settings(root, instance, wanted, offline)
        elif not (offline or started or switched.switched or switched.left_out or switched.unfinished):
            if active is not None:
                clock.check_presentable(active, instance.certificate)
            if instance.manages_services and _may_have_lost_key(instance, broker):
                broker_files.restart(root, instance, broker_of(instance))
            else:
                _connect_once_more(instance, tenant, broker)
        if offline:
            journal.info("offline: the connection was not checked")
        elif not changed:
            check(instance, tenant)
    if switched.unfinished:
        raise NoAnswerError(
            f"connected, but {switched.unfinished}; `sudo tedge reconnect {instance.words}` tries to finish it again"
        )
    if instance.manages_services and not switched.left_out:
        root.reset_failed()
    return connect.exit_code(instance, switched)


def _start_broker(root: Root, instance: Instance, broker: LocalBroker | None) -> bool:
    """Start a broker that is stopped, if systemd runs; return whether it was started."""
    bridge = open_bridge(broker)
    if bridge is not None:
        bridge.close()
        return False
    if not instance.manages_services:
        return False
    with step("Starting mosquitto"):
        since_s = int(time.time())
        try:
            root.systemctl("reset-failed", "mosquitto.service")
            root.systemctl("start", "mosquitto.service")
            wait_for_broker(broker_of(instance))
        except TedgeCertError as error:
            raise broker_files.failure(root, since_s, error) from error
    return True


def _take_settings(root: Root, instance: Instance, wanted: Mosquitto, offline: bool) -> None:
    """Give mosquitto the changed settings; restore the previous ones if the bridge does not come up."""
    journal.info(f"the settings of the bridge have changed since {instance.bridge_file} was written")
    broker_files.configure(root, files_of(instance), wanted)
    if not instance.manages_services:
        journal.warning("no service manager: restart mosquitto yourself, then it uses the changed settings")
        return
    broker_files.restart(root, instance, broker_of(instance))
    if offline:
        return
    try:
        check(instance, wanted.tenant)
    except TedgeCertError as error:
        broker_files.put_back(root, files_of(instance))
        raise TedgeCertError(
            f"not connected with the changed settings: {error}; {instance.bridge_file} is as it was: see "
            f"`tedge config list c8y`, or apply them unchecked by `sudo tedge reconnect {instance.words} --offline`"
        ) from error


def _may_have_lost_key(instance: Instance, broker: LocalBroker | None) -> bool:
    """Return whether the bridge is down and its key is in hardware, which mosquitto opens only when it starts."""
    if auth_method.is_basic(instance.config):
        return False
    if not hardware_keys.kind_in(hardware_keys.content_at(instance.key)):
        return False
    bridge = open_bridge(broker)
    if bridge is None:
        return False
    with bridge:
        return not bridge.is_up


def _connect_once_more(instance: Instance, tenant: Tenant, broker: LocalBroker | None) -> None:
    """Make the bridge reconnect: a connection of our own evicts it."""
    bridge = open_bridge(broker)
    if bridge is None:
        found = broker or broker_of(instance)
        raise TedgeCertError(
            f"cannot ask the broker at {found.host}:{found.port}; start mosquitto, its bridge is configured"
        )
    with bridge, step("Making the bridge reconnect"):
        was_up, began_s = bridge.is_up, time.monotonic()
        verdict = evict_bridge(tenant, bridge)
        if not verdict.accepted:
            raise NoAnswerError(f"{verdict.reason}; the bridge was left as it is")
        returned = bridge.wait_for_return(began_s, BRIDGE_WAIT_S) if was_up else bridge.wait_until_up(BRIDGE_WAIT_S)
        if not returned:
            raise NoAnswerError(
                f"{verdict.reason}, but the bridge has not come back within {BRIDGE_WAIT_S:g} s; it goes on trying, "
                "see `sudo journalctl -u mosquitto`"
            )
