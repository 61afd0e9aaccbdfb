# SPDX-License-Identifier: Apache-2.0
"""Facts of instances in every state, to be judged and shown."""

from dataclasses import replace
from typing import Any

from tedge_cert.config.unknown_keys import Unknown
from tedge_cert.device.state import State
from tedge_cert.status.facts import BridgeFacts, CertificateFacts, Check, Facts, KeyFacts, UnitFacts
from unit.certificates import DAY_S, NOW_S

CERTIFICATE = CertificateFacts(
    "/etc/tedge/device-certs/tedge-certificate.pem",
    subject="CN=device-1, O=Thin Edge",
    issuer="CN=the tenant",
    serial="1234",
    not_before_s=NOW_S - 100 * DAY_S,
    not_after_s=NOW_S + 265 * DAY_S,
)
UNITS = UnitFacts(
    "tedge-cert-renewer@c8y.timer",
    "tedge-cert-renewer@c8y.service",
    is_installed=True,
    is_enabled=True,
    is_active=True,
    next_run_s=NOW_S + 1200,
    is_confined=True,
)
HEALTHY = Facts(
    "c8y",
    "c8y",
    "",
    "c8y",
    NOW_S,
    device_id="device-1",
    is_read=True,
    host="tenant.test",
    certificate=CERTIFICATE,
    key=KeyFacts("/etc/tedge/device-certs/tedge-private-key.pem", True),
    threshold_s=30 * DAY_S,
    due_s=NOW_S + 235 * DAY_S,
    state=State(result="renewed", step="verify", at_s=NOW_S - 100 * DAY_S, succeeded_s=NOW_S - 100 * DAY_S),
    units=UNITS,
    bridge=BridgeFacts(True, is_up=True, differences=()),
    clock_is_synchronised=True,
    timekeeper="on",
)


def facts(**changed: Any) -> Facts:
    """A healthy instance but for what is given."""
    return replace(HEALTHY, **changed)


def certificate(**changed: Any) -> CertificateFacts:
    """Its certificate, likewise."""
    return replace(CERTIFICATE, **changed)


def units(**changed: Any) -> UnitFacts:
    """Its units, likewise."""
    return replace(UNITS, **changed)


UNREAD = Facts("c8y", "c8y", "", "c8y", NOW_S)
HIDDEN = CertificateFacts("/c.pem", "cannot read the certificate /c.pem: Permission denied", is_hidden=True)
FAILING = State(result="request-refused", step="renew", reason="tenant.test answered 503", at_s=NOW_S - 60, attempts=3)

BY_TENANT = {"RENEW_WITH_CA": "c8y", "RENEWAL_SPREAD": "1d"}
NO_PROGRAM = "Failed at step EXEC spawning /usr/bin/tedge-cert-needs-renewal"

UNHEALTHY = {
    "configuration": replace(
        UNREAD, fault="/etc/tedge/tedge.toml is not valid TOML", units=UNITS, clock_is_synchronised=True
    ),
    "hidden": facts(certificate=HIDDEN, is_other_user=True),
    "shut": facts(certificate=HIDDEN),
    "settings-unread": facts(unread="/etc/tedge/tedge.toml"),
    "settings-unread-needed": facts(unread="/etc/tedge/tedge.toml", host=""),
    "missing": facts(certificate=CertificateFacts("/c.pem", "cannot read the certificate /c.pem: No such file")),
    "indented": facts(
        certificate=CertificateFacts("/c.pem", "its lines are indented", cure="sudo sed -i 's/^ *//' /c.pem")
    ),
    "expired": facts(certificate=certificate(not_after_s=NOW_S - DAY_S)),
    "clock": facts(certificate=certificate(not_before_s=NOW_S + DAY_S)),
    "key": facts(key=KeyFacts("/k.pem", False)),
    "half-switched": facts(key=KeyFacts("/k.pem", False, is_half_switched=True)),
    "rotation": facts(
        key=KeyFacts(
            "/k.pem",
            True,
            rotation_fault="no new private key can be made: /k.pem is a symbolic link",
            rotation_cure="sudo tedge config set certificate.rotate_key false",
        )
    ),
    "key-shut": facts(key=KeyFacts("/k.pem", fits=True, is_shut_to_broker=True)),
    "threshold": facts(threshold_s=400 * DAY_S),
    "threshold-short": facts(threshold_s=30),
    "failing": facts(state=FAILING, due_s=NOW_S - DAY_S),
    "failing-late": facts(state=FAILING, due_s=NOW_S - DAY_S, certificate=certificate(not_after_s=NOW_S + 9 * DAY_S)),
    "previous": facts(previous=certificate(path="/c.pem.previous")),
    "no-tenant": facts(host=""),
    "not-uploaded": facts(
        state=replace(FAILING, result="not-trusted-yet"),
        candidate=certificate(path="/c.pem.new", issuer=CERTIFICATE.subject),
    ),
    "waits-for-approval": facts(state=replace(FAILING, result="waits-for-approval"), due_s=NOW_S - DAY_S),
    "issuer-unknown": facts(state=replace(FAILING, result="not-trusted-yet"), candidate=certificate(path="/c.pem.new")),
    "candidate": facts(candidate=certificate(path="/c.pem.new", written_s=NOW_S - DAY_S)),
    "authority-not-asked": facts(est_url="https://est.test/.well-known/est", units=units(environment=BY_TENANT)),
    "authority-unset": facts(units=units(environment={**BY_TENANT, "RENEW_WITH_CA": "est"})),
    "no-bridge": facts(bridge=BridgeFacts(False)),
    "no-broker": facts(bridge=BridgeFacts(True)),
    "broker-missing": facts(bridge=BridgeFacts(True), units=units(has_broker=False)),
    "link-missing": facts(bridge=BridgeFacts(True, missing_link="/etc/mosquitto/conf.d/50-x.conf", is_up=False)),
    "bridge-down": facts(bridge=BridgeFacts(True, is_up=False)),
    "bridge-without-hardware": facts(bridge=BridgeFacts(True, is_up=False, uses_hardware=True)),
    "other-settings": facts(
        bridge=BridgeFacts(True, is_up=True, differences=("address old.test:8883 instead of tenant.test:8883",))
    ),
    "not-restarted": facts(bridge=BridgeFacts(True, is_up=True, differences=(), is_unread=True)),
    "other-openssl": facts(bridge=BridgeFacts(True, is_up=True, differences=(), prefers_tpm=True)),
    "tenant": facts(
        checks=(
            Check("https", "tenant.test:443", False, "no answer from https://tenant.test", "tedge config get c8y.http"),
        )
    ),
    "units": facts(units=units(is_installed=False)),
    "not-started": facts(units=units(not_started=NO_PROGRAM, has_program=False)),
    "program-back": facts(units=units(not_started=NO_PROGRAM)),
    "account": facts(missing_accounts=("user tedge",), units=units(not_started="Failed at step USER spawning /x")),
    "account-back": facts(units=units(not_started="/usr/bin/x could not be started (status 217)")),
    "failed": facts(units=units(has_failed=True, failed_s=NOW_S - 60, result="timeout")),
    "timer-disabled": facts(units=units(is_enabled=False)),
    "timer-stopped": facts(units=units(is_active=False)),
    "hardware": facts(key_in_hardware="device.key_uri"),
    "misspelt": facts(misspelt=(Unknown("c8y.ulr", "c8y.url", "/nonexistent/tedge.toml"),)),
    "unconfined": facts(units=units(is_confined=False)),
    "sudoers": facts(sudoers="/etc/sudoers.d/tedge"),
}
