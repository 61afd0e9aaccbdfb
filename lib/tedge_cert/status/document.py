# SPDX-License-Identifier: Apache-2.0
"""Write the status for programs, as JSON by ``status.schema.json``.

A new field keeps the version; a field that is removed or changes its meaning raises it.
"""

import json
from dataclasses import asdict

from tedge_cert.status.facts import CertificateFacts, Check, Facts
from tedge_cert.status.verdict import WORDS, Problem, cure_of_clock, health, why_over

VERSION = 1
# Facts that have the same names there.
_OF_KEY = ("path", "fits", "looked_at_s", "written_s", "candidate_s")
_OF_BAD_FILE = ("path", "fault")
_OF_CERTIFICATE = ("path", "subject", "issuer", "serial", "not_before_s", "not_after_s")


def document_of(reports: list[tuple[Facts, list[Problem]]]) -> str:
    """Return all instances in one document, ending in a line break."""
    worst = max(health(found) for _, found in reports)
    body = {
        "version": VERSION,
        "health": WORDS[worst],
        "instances": [instance_of(facts, found) for facts, found in reports],
    }
    return json.dumps(body, indent=2) + "\n"


def instance_of(facts: Facts, found: list[Problem]) -> dict[str, object]:
    """Return one instance; times are seconds since the epoch, 0 for never."""
    return {
        "version": VERSION,
        "name": facts.name,
        "cloud": facts.cloud,
        "profile": facts.profile,
        "device_id": facts.device_id,
        "at_s": facts.now_s,
        "health": WORDS[health(found)],
        "problems": [{"rank": WORDS[each.rank], "what": each.what, "cure": each.cure} for each in found],
        "not_known": facts.not_known,
        "certificate": _certificate(facts.certificate),
        "key": {name: getattr(facts.key, name) for name in _OF_KEY},
        "candidate": _certificate(facts.candidate),
        "previous": _certificate(facts.previous),
        "threshold_s": facts.threshold_s,
        "due_s": facts.due_s,
        "spread_s": facts.spread_s,
        "last": {**facts.state.as_last(), "over": bool(why_over(facts))},
        "renewals": [asdict(each) for each in facts.state.renewals],
        "timer": _timer(facts),
        "confined": facts.units.is_confined if facts.units else None,
        "bridge": {
            "configured": facts.bridge.is_configured,
            "up": facts.bridge.is_up,
            "disconnected_s": facts.state.disconnected_s if facts.is_disconnected else 0,
            "mapper": facts.bridge.mapper,
            "uses_former": facts.bridge.uses_former,
            "differences": None if facts.bridge.differences is None else list(facts.bridge.differences),
        },
        "clock_synchronised": facts.clock_is_synchronised,
        "tenant": {"host": facts.host, "reachable": facts.answers},
        "checks": None if facts.checks is None else [_check(facts, each) for each in facts.checks],
    }


def _certificate(certificate: CertificateFacts | None) -> dict[str, object] | None:
    if certificate is None:
        return None
    return {name: getattr(certificate, name) for name in (_OF_BAD_FILE if certificate.fault else _OF_CERTIFICATE)}


def _check(facts: Facts, check: Check) -> dict[str, object]:
    cure = cure_of_clock(facts) if check.name == "clock" and check.is_good is False else check.cure
    return {"name": check.name, "of": check.of, "good": check.is_good, "said": check.said, "cure": cure}


def _timer(facts: Facts) -> dict[str, object] | None:
    units = facts.units
    if units is None:
        return None
    return {
        "unit": units.timer,
        "installed": units.is_installed,
        "enabled": units.is_enabled,
        "active": units.is_active,
        "running": units.is_running,
        "next_run_s": units.next_run_s,
        "not_started": units.not_started,
    }
