# SPDX-License-Identifier: Apache-2.0
"""The facts about an instance as they were found, without judgement."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tedge_cert.config.unknown_keys import Unknown
from tedge_cert.device.state import State


@dataclass(frozen=True)
class CertificateFacts:
    """A certificate file; with a ``fault`` the other fields are empty."""

    path: str
    fault: str = ""
    # The command that mends the file, where there is one.
    cure: str = ""
    # True if this user may not read the file, so that nothing is known of it.
    is_hidden: bool = False
    # Why the name in it is no device id, as the rest of a sentence.
    flaw: str = ""
    # When the file was written.
    written_s: int = 0
    subject: str = ""
    issuer: str = ""
    serial: str = ""
    not_before_s: int = 0
    not_after_s: int = 0

    @property
    def lifetime_s(self) -> int:
        """Return its whole validity in seconds."""
        return self.not_after_s - self.not_before_s


@dataclass(frozen=True)
class KeyFacts:
    """Whether the private key belongs to the certificate; None if no run that can read it has checked."""

    path: str = ""
    fits: bool | None = None
    # When a run checked; 0 if it was checked just now.
    looked_at_s: int = 0
    # When the file was written, and the candidate key beside it; 0 without one.
    written_s: int = 0
    candidate_s: int = 0
    # True if keys lie beside one that does not fit, so that the next run finds the right one.
    is_half_switched: bool = False
    # Why no new key can be made, although the settings want one with each renewal.
    rotation_fault: str = ""
    rotation_cure: str = ""
    # True if the broker may not read the key, so its bridge cannot connect.
    is_shut_to_broker: bool = False
    fault: str = ""
    # The command that mends the file, where there is one.
    cure: str = ""


@dataclass(frozen=True)
class UnitFacts:
    """The state of timer and service in systemd."""

    timer: str
    service: str
    is_installed: bool = False
    is_enabled: bool = False
    is_active: bool = False
    next_run_s: int = 0
    is_running: bool = False
    has_failed: bool = False
    # When it ended, if it has failed.
    failed_s: int = 0
    result: str = ""
    # The unit that registers the device without a person, if it is active or has failed.
    registration: str = ""
    # Why the last run could not begin; systemd takes that for "nothing to do".
    not_started: str = ""
    # Whether the program of its condition can be executed now.
    has_program: bool = True
    # Whether mosquitto is installed as a service.
    has_broker: bool = True
    is_confined: bool = False
    # As whom it runs; empty where that is not known.
    user: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BridgeFacts:
    """The bridge as the local broker reports it; None stands for "not known"."""

    is_configured: bool | None = None
    # The link by which the broker finds its configuration, if the link is missing.
    missing_link: str = ""
    is_up: bool | None = None
    # In what the broker's files differ from the settings; None if that cannot be found out.
    differences: tuple[str, ...] | None = None
    # The unit of the mapper that the bridge is built into; empty where it is that of mosquitto.
    mapper: str = ""
    # Whether that was started before the certificate was replaced, and so goes on with the former one.
    uses_former: bool = False
    # Whether the broker has yet to be restarted with these files.
    is_unread: bool = False
    # Whether it uses a private key in hardware, which it reaches only as it did when it started.
    uses_hardware: bool = False
    # Whether OpenSSL's configuration prefers the TPM for every key, which only OpenSSL 3.0 needs and bears.
    prefers_tpm: bool = False


@dataclass(frozen=True)
class Check:
    """A check of what a renewal needs; ``is_good`` is None if it was not tried, or does not apply."""

    name: str
    of: str
    is_good: bool | None
    said: str
    cure: str = ""


@dataclass(frozen=True)
class Facts:
    """All facts about an instance at one moment."""

    name: str
    cloud: str
    profile: str
    # How a command line names the instance.
    words: str
    now_s: int
    # Why the configuration could not be read further.
    fault: str = ""
    # The command that mends the configuration, where one does.
    cure: str = ""
    # False if the configuration does not say where the files are.
    is_read: bool = False
    # Whether thin-edge connects the device, and this package only renews its certificate.
    is_beside: bool = False
    # Whose settings they are there, as whom the renewal has to run.
    settings_user: str = ""
    # True for a user other than root and tedge, who may not read all that these may.
    is_other_user: bool = False
    device_id: str = ""
    host: str = ""
    # A file with settings of this cloud that are not read, because the cloud has files of its own; empty without one.
    unread: str = ""
    certificate: CertificateFacts | None = None
    key: KeyFacts = KeyFacts()
    candidate: CertificateFacts | None = None
    previous: CertificateFacts | None = None
    threshold_s: int = 0
    # When the renewal is due, by threshold and spread; the spread makes it earlier by this at most.
    due_s: int = 0
    spread_s: int = 0
    state: State = field(default_factory=State)
    # Why the state could not be read.
    state_fault: str = ""
    # When certificate, key or settings were last changed, and whether the last result is that of other settings.
    changed_s: int = 0
    has_other_settings: bool = False
    # None without a service manager, or where the configuration is not that of its services; or if systemd, although
    # asked, did not answer.
    units: UnitFacts | None = None
    is_systemd_asked: bool = False
    bridge: BridgeFacts = BridgeFacts()
    # The operator's own authority (est.url), and whether a profile has it only from the plain key.
    est_url: str = ""
    is_est_inherited: bool = False
    # Keys in the files that nothing knows, where a known one was probably meant.
    misspelt: tuple[Unknown, ...] = ()
    # The setting that says that the private key is in hardware; empty if the key is a file.
    key_in_hardware: str = ""
    # What is wrong with the keeping of a password, each with the cure.
    passwords: tuple[tuple[str, str], ...] = ()
    # The user and the group that the service runs as, where they do not exist.
    missing_accounts: tuple[str, ...] = ()
    # A file of thin-edge that lets user tedge run programs as root; empty without one.
    sudoers: str = ""
    clock_is_synchronised: bool | None = None
    # What could set the clock: "off", "on" or "missing" for a service of network time; "container" for a device that
    # has the clock of its machine; empty if that is not known.
    timekeeper: str = ""
    # None if the tenant was not asked.
    checks: tuple[Check, ...] | None = None

    @property
    def left_s(self) -> int:
        """Return the seconds until the certificate expires; 0 without one."""
        return self.certificate.not_after_s - self.now_s if self.certificate else 0

    @property
    def is_disconnected(self) -> bool:
        """Return whether a person disconnected the instance, and it was not connected again."""
        return self.bridge.is_configured is False and self.state.disconnected_s > 0

    @property
    def not_known(self) -> list[str]:
        """Return the fields of the document whose value could not be found out."""
        hidden = self.certificate is not None and self.certificate.is_hidden
        bridge = self.bridge
        unknown = {
            "device_id": not self.is_read or (hidden and not self.device_id),
            "certificate": not self.is_read or hidden,
            "key": not self.is_read or (self.certificate is not None and self.key.fits is None),
            "candidate": not self.is_read or (self.candidate is not None and self.candidate.is_hidden),
            "previous": not self.is_read or (self.previous is not None and self.previous.is_hidden),
            "threshold_s": not self.is_read,
            "due_s": not self.is_read or hidden,
            "last": not self.is_read or bool(self.state_fault),
            "renewals": not self.is_read or bool(self.state_fault),
            "timer": self.units is None and self.is_systemd_asked,
            "bridge": bridge.is_configured is None or (bridge.is_configured and bridge.is_up is None),
            "clock_synchronised": self.clock_is_synchronised is None,
        }
        return [name for name, is_unknown in unknown.items() if is_unknown]

    @property
    def answers(self) -> bool | None:
        """Return whether the tenant answered; None if it was not asked."""
        if self.checks is None:
            return None
        return any(each.is_good for each in self.checks if each.name == "https")
