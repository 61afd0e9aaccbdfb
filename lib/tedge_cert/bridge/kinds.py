# SPDX-License-Identifier: Apache-2.0
"""Watch the bridge that a device has: that of mosquitto, or the one in the mapper of thin-edge."""

import time

from tedge_cert import journal
from tedge_cert.bridge import local_broker
from tedge_cert.bridge.health import RETAINED_S, Bridge
from tedge_cert.bridge.mapper import MapperBridge
from tedge_cert.deadline import Deadline
from tedge_cert.device.connections import LocalBroker
from tedge_cert.errors import ConfigurationError

# How long a broker that is being restarted may take to listen again.
BROKER_WAIT_S = 20.0


def watch(broker: LocalBroker, timeout_s: float | None = None, retained_s: float = RETAINED_S) -> Bridge:
    """Watch the bridge in ``broker``; raises OSError when there is no broker, or ConfigurationError."""
    if broker.mapper is not None:
        return MapperBridge(broker, broker.mapper, timeout_s, retained_s)
    return Bridge(broker, timeout_s, retained_s)


def open_bridge(broker: LocalBroker | None) -> Bridge | None:
    """Watch the bridge in ``broker``; None when there is no bridge, or no broker that can be asked."""
    if broker is None or not broker.bridge_file.exists():
        return None
    try:
        return watch(broker)
    except OSError as error:
        # The caller says what it means that the broker is down; that it refuses us is said only here.
        (journal.warning if local_broker.is_final(error) else journal.debug)(local_broker.explain(broker, error))
    except ConfigurationError as error:
        # No reason to leave a certificate in doubt: a connection of our own to the tenant can decide.
        journal.warning(f"the local broker is not asked: {error}")
    return None


def reopen(lost: Bridge) -> Bridge | None:
    """Watch the bridge again after the broker closed the connection; None if it does not listen again."""
    broker, deadline = lost.broker, Deadline(BROKER_WAIT_S)
    while (fresh := open_bridge(broker)) is None and not deadline.passed():
        # A reconnect of thin-edge removes the file of the bridge, and writes it again.
        if broker.mapper is None and not broker.bridge_file.exists():
            break
        time.sleep(1)
    return fresh
