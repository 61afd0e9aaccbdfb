# SPDX-License-Identifier: Apache-2.0
"""What there is to know of an instance, as it was found: no judgement, and nothing that changes anything."""

from dataclasses import dataclass

from tedge_cert.device.state import State


@dataclass(frozen=True)
class CertificateFacts:
    """A certificate file; with a ``fault`` nothing else of it is known."""

    path: str
    fault: str = ""
    subject: str = ""
    issuer: str = ""
    serial: str = ""
    not_before_s: int = 0
    not_after_s: int = 0

    @property
    def is_readable(self) -> bool:
        """Whether there is a certificate in the file."""
        return not self.fault

    @property
    def lifetime_s(self) -> int:
        """How long it is valid, from its first second to its last."""
        return self.not_after_s - self.not_before_s


@dataclass(frozen=True)
class KeyFacts:
    """Whether the private key belongs to the certificate: None if nobody who could read it has looked."""

    path: str = ""
    fits: bool | None = None
    # When a run looked; 0 if it was looked at just now.
    looked_at_s: int = 0
    # Whether the broker may not read it, so that no bridge connects.
    is_shut_to_broker: bool = False
    fault: str = ""


@dataclass(frozen=True)
class UnitFacts:
    """What the service manager says of timer and service."""

    timer: str
    service: str
    is_installed: bool = False
    is_enabled: bool = False
    is_active: bool = False
    next_run_s: int = 0
    is_running: bool = False
    has_failed: bool = False
    result: str = ""
    # The unit that registers the device without a person, if it is at work or has given up.
    registration: str = ""
    # Why the last run could not even begin: systemd takes that for "nothing to do".
    not_started: str = ""
    # Whether mosquitto is installed as a service.
    has_broker: bool = True
    is_confined: bool = False
    environment: tuple[str, ...] = ()


@dataclass(frozen=True)
class BridgeFacts:
    """The bridge as the local broker shows it; None while there is no broker to ask."""

    is_configured: bool = False
    # The link by which the broker finds it, if that is missing.
    missing_link: str = ""
    is_up: bool | None = None


NO_STATE = State()


@dataclass(frozen=True)
class Facts:
    """All of it, at one moment."""

    name: str
    cloud: str
    profile: str
    # How a command line names the instance.
    words: str
    now_s: int
    # Why the configuration tells nothing more.
    fault: str = ""
    device_id: str = ""
    host: str = ""
    certificate: CertificateFacts | None = None
    key: KeyFacts = KeyFacts()
    candidate: CertificateFacts | None = None
    previous: CertificateFacts | None = None
    threshold_s: int = 0
    # When it is the certificate's turn, by threshold and spread.
    due_s: int = 0
    state: State = NO_STATE
    # None without a service manager, or where the configuration is not that of its services.
    units: UnitFacts | None = None
    bridge: BridgeFacts = BridgeFacts()
    # The user and the group that the service runs as, where they do not exist.
    missing_accounts: tuple[str, ...] = ()
    clock_is_synchronised: bool | None = None
    # None if the tenant was not asked, else why it could not be reached.
    tenant_fault: str | None = None

    @property
    def left_s(self) -> int:
        """Seconds until the certificate expires; 0 without one."""
        return self.certificate.not_after_s - self.now_s if self.certificate else 0
