# SPDX-License-Identifier: Apache-2.0
"""The values that describe whom an instance connects to: tenant, local broker, and the operator's own authority.

They are made in ``connection_settings``. What takes them never sees a setting. Those of mosquitto's files, which few
commands take, are in ``mosquitto``.
"""

from dataclasses import dataclass
from pathlib import Path

from tedge_cert.config import credentials
from tedge_cert.config.credentials import Credentials
from tedge_cert.config.values import split_endpoint
from tedge_cert.net.anchors import Trust
from tedge_cert.net.server import Server


@dataclass(frozen=True, kw_only=True)
class Tenant(Server):
    """A tenant, and what the device shows it: the certificate with its key, or user and password."""

    # Host (an IPv6 address without brackets) and port.
    mqtt: tuple[str, int]
    # The endpoint for tokens by client certificate, and the file that remembers whether the tenant offers it.
    token_server: Server
    token_memory: Path
    device_id: str
    device_type: str
    certificate: Path
    key: Path
    # The file with user and password, where they stand in for the certificate; it is read when they are shown.
    credentials_path: Path | None = None

    def login(self) -> Credentials | None:
        """Read user and password, where they stand in for the certificate; None where they do not.

        Raises ConfigurationError, also if they are for another tenant than the settings name.
        """
        if self.credentials_path is None:
            return None
        return credentials.load_for(self.credentials_path, self.named_hosts)

    @property
    def named_hosts(self) -> dict[str, str]:
        """The hosts of the tenant, each under the key that names it."""
        return {self.setting: split_endpoint(self.host, 443)[0], "c8y.mqtt": self.mqtt[0]}


@dataclass(frozen=True)
class Mapper:
    """The mapper of thin-edge, where it holds the connection to the tenant with the bridge that is built into it."""

    unit: str
    # Where it says whether it runs, and as which process.
    health_topic: str
    # Where the operations of the device and its children are; a restart of the mapper would interrupt them.
    operations_topic: str
    # The client ids of its sessions at the local broker.
    sessions: tuple[str, ...]
    # A write to this file has systemd restart it.
    restart_file: Path


@dataclass(frozen=True)
class KeyPair:
    """The files of a certificate, with its chain, and of its private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class LocalBroker:
    """The local mosquitto, as its clients reach it, and the topics of the bridge in it."""

    host: str
    port: int
    # Local prefix of the topics that the bridge carries.
    prefix: str
    # Where the bridge says whether it is connected, retained.
    health_topic: str
    # Where the status of the instance is kept.
    status_topic: str
    # While this file exists, the broker has a bridge for this instance.
    bridge_file: Path
    # Trust anchors, where its listener speaks TLS.
    trust: Trust | None = None
    # What a client shows, where the listener asks for a certificate.
    certificate: Path | None = None
    key: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    # None where the bridge is that of mosquitto.
    mapper: Mapper | None = None


@dataclass(frozen=True, kw_only=True)
class EstServer(Server):
    """The server of a certificate authority that speaks EST; ``base`` is its path up to the operation."""

    base: str


@dataclass(frozen=True)
class EstAuthority:
    """A certificate authority of the operator's, and what the device shows it."""

    enrolment: EstServer
    # It may take certificates at another address.
    renewal: EstServer
    # The user of the one-time password.
    username: str
    uses_basic: bool
    uses_challenge: bool
    # The factory certificate; None where the device has none.
    factory: KeyPair | None
    # The file with user and password that go with the certificate at each renewal; it is read when they are shown.
    credentials_path: Path | None
