# SPDX-License-Identifier: Apache-2.0
"""The values from which mosquitto's configuration is made; they are made in ``connection_settings``."""

from dataclasses import dataclass
from pathlib import Path

from tedge_cert.device.connections import Tenant


@dataclass(frozen=True)
class ExternalListener:
    """A second listener of mosquitto, for clients on other machines."""

    port: str
    address: str | None
    interface: str | None
    trust: str | None
    certificate: str | None
    key: str | None


@dataclass(frozen=True)
class Listener:
    """The listener of mosquitto for local clients."""

    port: str
    address: str
    external: ExternalListener | None


@dataclass(frozen=True)
class Mosquitto:
    """What the configuration files of mosquitto have to say; prefix and health topic are those of ``LocalBroker``."""

    tenant: Tenant
    # None where mosquitto has a listener of its own.
    listener: Listener | None
    profile: str
    prefix: str
    health_topic: str
    keepalive_s: int
    keeps_local_session: bool
    smartrest: tuple[str, ...]
    smartrest_1: tuple[str, ...]
    # Topics that come in from the tenant's MQTT service; None where the bridge does not use that service.
    mqtt_service_topics: tuple[str, ...] | None


@dataclass(frozen=True)
class MosquittoFiles:
    """Where these files are, and whose broker reads them."""

    bridge: Path
    # Exists while mosquitto has yet to be restarted with its new configuration.
    restart: Path
    is_of_system: bool
    manages_services: bool
