# SPDX-License-Identifier: Apache-2.0
"""Looks up what there is to know of an instance; whatever cannot be found out is a fact too, and no error."""

import os
import time
from dataclasses import replace
from pathlib import Path

from tedge_cert import systemd
from tedge_cert.bridge import conf_files
from tedge_cert.bridge.health import Bridge
from tedge_cert.config import auth_method
from tedge_cert.device import state
from tedge_cert.device.connection_settings import broker_of, files_of, https_of
from tedge_cert.device.instance import Instance, identity, threshold_s
from tedge_cert.device.state import State
from tedge_cert.disk import owners, privileges
from tedge_cert.errors import CertificateError, ConfigurationError, NoAnswerError, TedgeCertError
from tedge_cert.hourly import schedule
from tedge_cert.status.facts import BridgeFacts, CertificateFacts, Facts, KeyFacts
from tedge_cert.status.units import Inquiry
from tedge_cert.x509 import certificate, keys
from tedge_cert.x509.certificate import Certificate, name_text

BROKER_S = 2.0


def gather(instance: Instance, online: bool) -> Facts:
    """The facts of an instance; the tenant is asked only if ``online``."""
    # Asked first, so that they answer while this process reads and loads.
    inquiry = Inquiry(instance.timer) if instance.manages_services else None
    facts = _head(instance)
    try:
        facts = replace(_of_files(instance, facts), bridge=_bridge(instance))
        if instance.manages_services and not auth_method.is_basic(instance.config):
            facts = replace(facts, key=replace(facts.key, is_shut_to_broker=owners.is_shut_to_broker(instance.key)))
        if online:
            facts = replace(facts, tenant_fault=_tenant_fault(instance))
    except TedgeCertError as error:
        facts = replace(facts, fault=str(error))
    units = inquiry.answer() if inquiry else None
    if units is not None:
        settings = dict(each.partition("=")[::2] for each in units.environment)
        due_s = _due_s(facts, settings.get(schedule.SPREAD, ""))
        facts = replace(facts, due_s=due_s, missing_accounts=tuple(privileges.missing_accounts()))
    return replace(facts, units=units, clock_is_synchronised=systemd.is_synchronised())


def _head(instance: Instance) -> Facts:
    return Facts(instance.name, instance.cloud, instance.config.profile, instance.words, int(time.time()))


def _of_files(instance: Instance, facts: Facts) -> Facts:
    left = state.load(instance.state_file)
    active, found = _certificate(instance.certificate)
    http, minimum_s = instance.config.get("c8y.http"), threshold_s(instance.config)
    return replace(
        facts,
        device_id=_device_id(instance),
        host=str(http or ""),
        certificate=active,
        key=_key(instance, found, active, left),
        candidate=_certificate(instance.candidate)[0] if os.path.lexists(instance.candidate) else None,
        previous=_certificate(instance.previous)[0] if os.path.lexists(instance.previous) else None,
        threshold_s=minimum_s,
        due_s=max(0, active.not_after_s - minimum_s),
        state=left,
    )


def _due_s(facts: Facts, spread: str) -> int:
    """When it is the certificate's turn, by threshold, spread and guard, as the hourly check has it."""
    active = facts.certificate
    if active is None or not active.not_after_s:
        return facts.due_s
    lifetime_s = active.not_after_s - active.not_before_s
    try:
        spread_s = schedule.spread_s(spread, facts.threshold_s)
    except ConfigurationError:
        spread_s = 0
    lead = schedule.lead_s(lifetime_s, facts.threshold_s, spread_s, schedule.slot(facts.device_id))
    if facts.state.guarded == active.not_after_s:
        lead = min(lead, lifetime_s // schedule.GUARDED_PART)
    return max(0, int(active.not_after_s - lead))


def _device_id(instance: Instance) -> str:
    try:
        return identity(instance)
    except ConfigurationError:
        return ""


def _certificate(path: Path) -> tuple[CertificateFacts, Certificate | None]:
    try:
        found = certificate.load(path)
    except CertificateError as error:
        return CertificateFacts(str(path), str(error)), None
    facts = CertificateFacts(
        str(path),
        subject=name_text(found.subject),
        issuer=name_text(found.issuer),
        serial=f"{found.leaf.serial_number:x}",
        not_before_s=found.validity.not_before_s,
        not_after_s=found.validity.not_after_s,
    )
    return facts, found


def _key(instance: Instance, active: Certificate | None, facts: CertificateFacts, left: State) -> KeyFacts:
    """Whether the key fits; who may not read it is told what the last run found of this very certificate."""
    path = str(instance.key)
    if active is None:
        return KeyFacts(path)
    try:
        keys.load_for(instance.key, active, instance.certificate)
    except CertificateError as error:
        if not isinstance(error.__cause__, PermissionError):
            return KeyFacts(path, False, fault=str(error))
        known = left.key_fits if left.serial == facts.serial else None
        return KeyFacts(path, known, left.looked_at_s)
    return KeyFacts(path, True)


def _bridge(instance: Instance) -> BridgeFacts:
    if not instance.bridge_file.exists():
        return BridgeFacts()
    link = conf_files.bridge_placement(files_of(instance)).link
    found = BridgeFacts(True, missing_link="" if link is None or link.is_symlink() else str(link))
    try:
        with Bridge(broker_of(instance), BROKER_S) as bridge:
            return replace(found, is_up=bridge.is_up)
    except OSError:
        return found


def _tenant_fault(instance: Instance) -> str:
    """Why the tenant does not answer; empty if it does, whatever it says. No credential is sent."""
    from tedge_cert.net import https

    tenant = https_of(instance.config)
    try:
        https.ask("GET", f"https://{tenant.http}/tenant/loginOptions", tenant.trust, {})
    except NoAnswerError as error:
        return str(error)
    return ""
