# SPDX-License-Identifier: Apache-2.0
"""Look up the facts about an instance; what cannot be found out is a fact too, not an error."""

import os
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tedge_cert import beside, cures
from tedge_cert.bridge import conf_change, conf_files
from tedge_cert.bridge.kinds import watch
from tedge_cert.config import auth_method, credentials, no_effect, token_settings, unknown_keys
from tedge_cert.config.settings import fingerprint
from tedge_cert.device import profiles, rotation, state
from tedge_cert.device.connection_settings import broker_of, files_of, mosquitto_of, tenant_of
from tedge_cert.device.instance import Instance, Names, check_files, pair_of, threshold_s
from tedge_cert.device.state import State
from tedge_cert.disk import owners, privileges
from tedge_cert.errors import CertificateError, ConfigurationError, TedgeCertError, UnreadableError
from tedge_cert.hourly import schedule
from tedge_cert.hourly.validity import flaw_of_name
from tedge_cert.status.facts import BridgeFacts, CertificateFacts, Facts, KeyFacts, UnitFacts
from tedge_cert.status.units import Inquiry
from tedge_cert.x509 import certificate, hardware_keys, keys, pin_guard, provider
from tedge_cert.x509.certificate import Certificate

BROKER_S = 2.0
# Left behind by the packages of thin-edge.
SUDOERS = "/etc/sudoers.d/tedge"


def gather(instance: Instance, online: bool, inquiry: Inquiry | None = None) -> Facts:
    """Return the facts of an instance; ask the tenant only if ``online``."""
    # First, so that systemd answers while this process reads and imports.
    inquiry = inquiry or Inquiry(instance, instance.manages_services)
    facts = _head(instance)
    try:
        cures.name_instance(instance.words, pair_of(instance))
        facts = replace(_of_files(instance, facts), bridge=_bridge(instance))
        if instance.manages_services and not facts.bridge.mapper and not auth_method.is_basic(instance.config):
            facts = replace(
                facts, key=replace(facts.key, is_shut_to_broker=owners.is_shut_to_broker(instance.key_file))
            )
        if facts.host:
            facts = replace(facts, passwords=tuple(_of_passwords(instance)))
        if not auth_method.is_basic(instance.config):
            check_files(instance)
    except TedgeCertError as error:
        facts = replace(facts, fault=str(error), cure=error.cure)
    units = inquiry.units()
    if units is not None:
        facts = _with_due(facts, units.environment.get(schedule.SPREAD, ""))
        facts = replace(facts, missing_accounts=tuple(privileges.missing_accounts()), sudoers=_sudoers())
    facts = with_answers(facts, inquiry, units)
    return _examined(instance, facts) if online and facts.host else facts


def _examined(instance: Instance, facts: Facts) -> Facts:
    # Imported here, because it takes as long as everything else.
    from tedge_cert.status import doctor

    try:
        return replace(facts, checks=tuple(doctor.examine(instance, facts)))
    except TedgeCertError as error:
        return replace(facts, checks=(), fault=facts.fault or str(error))


def without_configuration(names: Names, fault: str, inquiry: Inquiry) -> Facts:
    """Return the facts about an instance whose configuration cannot be read."""
    facts = Facts(names.name, names.cloud, names.profile, names.words, int(time.time()), fault=fault)
    return with_answers(facts, inquiry, inquiry.units())


def with_answers(facts: Facts, inquiry: Inquiry, units: UnitFacts | None) -> Facts:
    """Return the facts with what systemd and the clock answered."""
    synchronised, timekeeper = inquiry.clock()
    asked = inquiry.asks_for_units
    return replace(
        facts, units=units, is_systemd_asked=asked, clock_is_synchronised=synchronised, timekeeper=timekeeper
    )


def _sudoers() -> str:
    """Return the file of thin-edge that lets user tedge run programs as root; thin-edge itself needs it."""
    return SUDOERS if os.path.lexists(SUDOERS) and not beside.is_beside() else ""


def _head(instance: Instance) -> Facts:
    is_beside, others = beside.is_beside(), os.geteuid() != 0 and not privileges.is_user()
    head = Facts(instance.name, instance.cloud, instance.config.profile, instance.words, int(time.time()))
    user = beside.user() if is_beside else ""
    return replace(head, is_other_user=others, is_beside=is_beside, settings_user=user)


def _of_files(instance: Instance, facts: Facts) -> Facts:
    left, state_fault = _state(instance.state_file)
    active, found = _certificate(instance.certificate)
    config = instance.config
    http, minimum_s = config.text("c8y.http"), threshold_s(config, active.lifetime_s)
    settings = [Path(config.file), Path(config.mapper_file())]
    return replace(
        facts,
        changed_s=_changed_s([instance.certificate, instance.key_file, *settings]),
        # An environment of the person who asks may differ from that of the unit, so the file has to be newer too.
        has_other_settings=left.settings != fingerprint(config) and _changed_s(settings) > left.at_s,
        device_id=profiles.identity_of(instance) or "",
        host=http or "",
        unread=config.file if instance.cloud in config.unread() else "",
        certificate=active,
        key=_with_rotation(instance, facts, _key(instance, found, active, left)),
        is_read=True,
        candidate=_if_there(instance.candidate),
        previous=_if_there(instance.previous),
        threshold_s=minimum_s,
        due_s=max(0, active.not_after_s - minimum_s),
        state=left,
        state_fault=state_fault,
        misspelt=unknown_keys.misspelt(config),
        est_url=config.text("c8y.est.url") or "" if instance.cloud == "c8y" else "",
        is_est_inherited=bool(config.profile) and not config.is_set("c8y.est.url"),
        key_in_hardware=no_effect.key_in_hardware(config, instance.cloud),
    )


def _state(path: Path) -> tuple[State, str]:
    try:
        return state.read(path), ""
    except ValueError as error:
        return State(), str(error)


def _if_there(path: Path) -> CertificateFacts | None:
    """Return the certificate at ``path``; None if there is no file. A file that cannot be seen is hidden."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return CertificateFacts(str(path), f"cannot look for {path}: {error.strerror}", is_hidden=True)
    return _certificate(path)[0]


def _changed_s(paths: list[Path]) -> int:
    """Return when the last of these files was changed (content, owner or mode); 0 if none can be seen."""
    return max(_time_of(each, "st_ctime") for each in paths)


def _time_of(path: Path, kind: str = "st_mtime") -> int:
    """Return when the content of the file was written, or another of its times; 0 if that cannot be seen."""
    try:
        return int(getattr(path.stat(), kind))
    except OSError:
        return 0


def _with_due(facts: Facts, spread: str) -> Facts:
    """Return the facts with when the renewal is due by threshold, spread and guard, as the hourly check computes it."""
    active = facts.certificate
    if active is None or not active.not_after_s:
        return facts
    try:
        spread_s = schedule.spread_s(spread, facts.threshold_s)
    except ConfigurationError:
        spread_s = 0
    lead = schedule.lead_s(active.lifetime_s, facts.threshold_s, spread_s, schedule.slot(facts.device_id))
    if facts.state.guarded == active.not_after_s:
        lead = min(lead, active.lifetime_s // schedule.GUARDED_PART)
    return replace(facts, due_s=max(0, int(active.not_after_s - lead)), spread_s=spread_s)


def _certificate(path: Path) -> tuple[CertificateFacts, Certificate | None]:
    try:
        found = certificate.load(path)
    except CertificateError as error:
        hidden = isinstance(error.__cause__, PermissionError)
        # Another certificate does not help against a file system that does not let itself be read.
        cure = error.cure or ("sudo journalctl -k -n 20" if isinstance(error, UnreadableError) else "")
        return CertificateFacts(str(path), str(error), cure, is_hidden=hidden), None
    validity = found.validity
    facts = CertificateFacts(
        str(path),
        written_s=_time_of(path),
        subject=found.subject,
        issuer=found.issuer,
        serial=validity.serial,
        not_before_s=validity.not_before_s,
        not_after_s=validity.not_after_s,
        flaw=flaw_of_name(validity),
    )
    return facts, found


def _key(instance: Instance, active: Certificate | None, facts: CertificateFacts, left: State) -> KeyFacts:
    """Return whether the key belongs to the certificate.

    For a user who may not read the key, return what the last run found for this certificate.
    """
    path = str(instance.key_file)
    if active is None:
        return KeyFacts(path)
    known = KeyFacts(path, left.key_fits if left.serial == facts.serial else None, left.looked_at_s)
    attributes = hardware_keys.attributes_in(hardware_keys.content_at(instance.key_file))
    if attributes is not None:
        # A status tries no PIN.
        fault = _fault_of_pin(instance, attributes)
        return replace(known, fault=fault, cure=cures.by_root("reconnect", instance.words) if fault else "")
    try:
        keys.load_for(instance.key_file, active, instance.certificate)
    except UnreadableError:
        return known
    except CertificateError as error:
        return KeyFacts(path, False, fault=str(error), cure=error.cure)
    return KeyFacts(path, True)


def _fault_of_pin(instance: Instance, attributes: dict[str, str]) -> str:
    try:
        found = token_settings.of(instance.config, instance.cloud)
        return pin_guard.why_refused(attributes, Path(found.pin_file), instance.config.directory) if found else ""
    except (ConfigurationError, UnreadableError) as error:
        return str(error)


def _with_rotation(instance: Instance, facts: Facts, found: KeyFacts) -> KeyFacts:
    """Return what is known of the key with what its replacement by a new one has left or needs."""
    beside_key = os.path.lexists(instance.candidate_key) or os.path.lexists(instance.previous_key)
    found = replace(
        found,
        written_s=_time_of(instance.key_file),
        candidate_s=_time_of(instance.candidate_key),
        is_half_switched=found.fits is False and beside_key and os.path.lexists(instance.previous),
    )
    if facts.is_other_user or not instance.rotates_key:
        return found
    try:
        rotation.check(instance)
    except TedgeCertError as error:
        return replace(found, rotation_fault=str(error), rotation_cure=error.cure)
    return found


def _bridge(instance: Instance) -> BridgeFacts:
    try:
        if not instance.bridge_file.exists():
            return BridgeFacts(is_configured=False)
    except OSError:
        return BridgeFacts()
    broker = broker_of(instance)
    found = _of_mosquitto(instance) if broker.mapper is None else BridgeFacts(True, mapper=broker.mapper.unit)
    try:
        with watch(broker, BROKER_S) as bridge:
            return replace(found, is_up=bridge.is_up, uses_former=bridge.uses_former(instance.certificate))
    except OSError:
        return found


def _of_mosquitto(instance: Instance) -> BridgeFacts:
    if beside.is_beside():
        # Its files are thin-edge's.
        return BridgeFacts(True, differences=())
    link = conf_files.bridge_placement(files_of(instance)).link
    return BridgeFacts(
        True,
        missing_link="" if link is None or link.is_symlink() else str(link),
        differences=_differences(instance),
        is_unread=conf_change.is_unfinished(files_of(instance)),
        uses_hardware=(Path(instance.config.directory) / provider.ENVIRONMENT).exists(),
        prefers_tpm=ssl.OPENSSL_VERSION_INFO >= (3, 1) and _prefers_tpm(instance),
    )


def _prefers_tpm(instance: Instance) -> bool:
    try:
        text = (Path(instance.config.directory) / provider.CONFIGURATION).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return provider.PREFERENCE in text


def _differences(instance: Instance) -> tuple[str, ...] | None:
    try:
        return tuple(conf_files.differences(files_of(instance), mosquitto_of(instance, tenant_of(instance))))
    except (OSError, TedgeCertError):
        # Other facts say what is wrong with certificate and settings; only some users may read a file with a password.
        return None


def _of_passwords(instance: Instance) -> Iterator[tuple[str, str]]:
    """Say what is wrong with the keeping of passwords, each with the cure.

    Raises ConfigurationError if the credentials are for another host than the settings name.
    """
    config = instance.config
    if config.get("proxy.password") is not None and credentials.is_exposed(Path(config.file)):
        yield (
            f"everybody on this device can read proxy.password in {config.file}",
            "sudo tedge config set proxy.password_file /etc/tedge/proxy-password && sudo tedge config unset "
            "proxy.password (the file: owner root, group mosquitto, mode 0640)",
        )
    if not auth_method.is_basic(config):
        return
    tenant, path = tenant_of(instance, ""), Path(config.need("c8y.credentials_path"))
    # Only root may read a file with a password.
    if path.exists() and not os.access(path, os.R_OK):
        return
    if credentials.load(path).hosts:
        tenant.login()
    else:
        yield credentials.what_is_missing(path), credentials.line_to_add(tenant.named_hosts)
