# SPDX-License-Identifier: Apache-2.0
"""Write the status for a person: on one screen, problems first; a terminal gets lines that fit its width."""

from tedge_cert.durations import format_duration
from tedge_cert.journal import quoted
from tedge_cert.status.facts import CertificateFacts, Facts
from tedge_cert.status.verdict import WORDS, Problem, failures, health, is_failed_run_over, why_over
from tedge_cert.terminal import of_health, wrapped
from tedge_cert.times import rfc2822


def text_of(facts: Facts, found: list[Problem]) -> str:
    """Return the block of an instance, ending in a line break."""
    lines = [facts.name]
    for each in found:
        lines.append(wrapped(f"  {WORDS[each.rank]}: {quoted(each.what)}", hang=4))
        lines.append(wrapped(f"    => {quoted(each.cure)}", hang=7))
    lines.append(f"{'Status:':<15}{of_health(WORDS[health(found)])}")
    lines += [wrapped(f"{label:<15}{quoted(value)}", hang=15) for label, value in _rows(facts, found)]
    return "\n".join(lines) + "\n"


def _rows(facts: Facts, found: list[Problem]) -> list[tuple[str, str]]:
    rows = [("Device id:", facts.device_id or "none yet")]
    if facts.certificate is not None:
        rows += _of_certificate(facts, facts.certificate)
    rows.append(("Last result:", _result(facts, found)))
    if failures(facts):
        rows.append(("Attempts:", _attempts(facts)))
    if facts.units is not None:
        rows.append(("Timer:", _timer(facts)))
    else:
        rows.append(("Timer:", "none: there is no systemd here, cron or another service has to call the steps"))
    rows += [("Bridge:", _bridge(facts)), ("Clock:", _CLOCK[facts.clock_is_synchronised])]
    if facts.tenant_fault is None:
        rows.append(("Tenant:", f"{facts.host or 'not set'} (not asked; --online asks)"))
    else:
        rows.append(("Tenant:", f"{facts.host} {'does not answer' if facts.tenant_fault else 'answers'}"))
    if facts.units is not None and facts.units.is_installed:
        rows.append(("Confinement:", "active" if facts.units.is_confined else "missing"))
    return rows


# Not a problem by itself: a device may get its time from elsewhere, and the certificate shows a wrong clock.
_CLOCK = {
    True: "synchronised",
    False: "not synchronised (timedatectl set-ntp true)",
    None: "unknown whether it is synchronised",
}


def _of_certificate(facts: Facts, active: CertificateFacts) -> list[tuple[str, str]]:
    rows = [("Certificate:", active.path)]
    if active.is_readable:
        rows += [
            ("Subject:", active.subject),
            ("Issuer:", active.issuer),
            ("Serial number:", f"0x{active.serial}"),
            ("Valid from:", rfc2822(active.not_before_s)),
            ("Valid until:", f"{rfc2822(active.not_after_s)} ({_distance(facts, active.not_after_s)})"),
            ("Renewal:", _renewal(facts)),
            ("Key:", _key(facts)),
        ]
    for label, other in (("Candidate:", facts.candidate), ("Previous:", facts.previous)):
        if other is not None:
            serial = f"serial 0x{other.serial}, valid until {rfc2822(other.not_after_s)}"
            rows.append((label, serial if other.is_readable else f"{other.path} holds no certificate"))
    return rows


def _renewal(facts: Facts) -> str:
    threshold = format_duration(facts.threshold_s, 2)
    if facts.due_s <= facts.now_s:
        return f"due since {rfc2822(facts.due_s)} (threshold {threshold})"
    return f"from {rfc2822(facts.due_s)} on ({_distance(facts, facts.due_s)}; threshold {threshold})"


def _key(facts: Facts) -> str:
    if facts.key.fits is None:
        return f"unknown: {facts.key.path} is not for you to read, and no run has looked yet"
    says = "belongs to the certificate" if facts.key.fits else "does not belong to the certificate"
    return f"{says}, as a run found on {rfc2822(facts.key.looked_at_s)}" if facts.key.looked_at_s else says


def _result(facts: Facts, found: list[Problem]) -> str:
    left = facts.state
    if not left.result:
        return "none yet (an hour with nothing to do leaves none)"
    what = f"{left.result.replace('-', ' ')} on {rfc2822(left.at_s)}"
    if over := why_over(facts):
        return f"{what}, which is over: {over}"
    if any(left.reason and left.reason in each.what for each in found):
        return f"{what}, see above"
    return f"{what}: {left.reason}" if left.reason else what


def _attempts(facts: Facts) -> str:
    left = facts.state
    following = f", the next not before {rfc2822(left.next_attempt_s)}" if left.next_attempt_s else ""
    return f"{left.attempts} failed{following}"


def _timer(facts: Facts) -> str:
    units = facts.units
    if units is None or not units.is_installed:
        return "not installed"
    words = ["enabled" if units.is_enabled else "not enabled", "active" if units.is_active else "not active"]
    if units.is_running:
        words.append("a run is under way")
    elif units.next_run_s:
        words.append(f"next run {rfc2822(units.next_run_s)} ({_distance(facts, units.next_run_s)})")
    if is_failed_run_over(facts):
        words.append("the run that failed is older than certificate, key and settings are now")
    return ", ".join(words)


def _bridge(facts: Facts) -> str:
    if not facts.bridge.is_configured:
        return "not configured"
    return {True: "connected", False: "not connected", None: "unknown: the broker does not answer"}[facts.bridge.is_up]


def _distance(facts: Facts, at_s: int) -> str:
    distance = format_duration(abs(at_s - facts.now_s), 2)
    return f"in {distance}" if at_s >= facts.now_s else f"{distance} ago"
