# SPDX-License-Identifier: Apache-2.0
"""Write the status for a person: on one screen, problems first; a terminal gets lines that fit its width."""

from collections.abc import Collection

from tedge_cert.durations import format_duration
from tedge_cert.journal import quoted
from tedge_cert.status.facts import CertificateFacts, Check, Facts
from tedge_cert.status.verdict import WORDS, Problem, cure_of_clock, failures, health, is_failed_run_over, why_over
from tedge_cert.terminal import mark, of_status, wrapped
from tedge_cert.times import local

NOT_KNOWN = "not known"


def screen_of(reports: list[tuple[Facts, list[Problem]]]) -> str:
    """Return the blocks of all instances; a problem that several of them have is explained once."""
    blocks, said = [], set[tuple[str, str]]()
    for facts, found in reports:
        blocks.append(text_of(facts, found, said))
        said |= {(each.what, each.cure) for each in found}
    return "\n".join(blocks)


def lines_of(reports: list[tuple[Facts, list[Problem]]]) -> str:
    """Return a line for each instance: its name, its health, what is left of the certificate, the bridge."""
    rows = [
        (facts.name, WORDS[health(found)], _left(facts), f"bridge {_bridge_word(facts)}") for facts, found in reports
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "".join(
        f"{name:<{widths[0]}}  {of_status(word)}{' ' * (widths[1] - len(word))}  {left:<{widths[2]}}  {bridge}\n"
        for name, word, left, bridge in rows
    )


def _bridge_word(facts: Facts) -> str:
    return "disconnected" if facts.is_disconnected else _bridge(facts).partition(":")[0]


def _left(facts: Facts) -> str:
    active = facts.certificate
    if active is None or active.is_hidden:
        return NOT_KNOWN
    if active.fault:
        return "no certificate"
    return f"{facts.left_s // 86_400}d left" if facts.left_s >= 0 else "expired"


def text_of(facts: Facts, found: list[Problem], said: Collection[tuple[str, str]] = ()) -> str:
    """Return the block of an instance, ending in a line break; problems in ``said`` were explained before."""
    lines = [facts.name]
    for each in found:
        if (each.what, each.cure) in said:
            continue
        lines.append(wrapped(f"  {WORDS[each.rank]}: {quoted(each.what)}", hang=4))
        lines.append(wrapped(f"    => {quoted(each.cure)}", hang=7))
    if any((each.what, each.cure) in said for each in found):
        lines.append("  and what is explained above")
    lines.append(f"{'Status:':<15}{of_status(WORDS[health(found)])}")
    lines += [wrapped(f"{label:<15}{quoted(value)}", hang=15) for label, value in _rows(facts, found)]
    return "\n".join(lines) + "\n"


def _rows(facts: Facts, found: list[Problem]) -> list[tuple[str, str]]:
    rows = [("Device id:", facts.device_id or (NOT_KNOWN if "device_id" in facts.not_known else "none yet"))]
    if facts.certificate is not None:
        rows += _of_certificate(facts, facts.certificate)
    else:
        rows.append(("Certificate:", NOT_KNOWN))
    rows.append(("Last result:", _result(facts, found)))
    if failures(facts):
        rows.append(("Attempts:", _attempts(facts)))
    rows += _of_renewals(facts)
    rows.append(("Timer:", _timer(facts)))
    rows += [("Bridge:", _bridge(facts)), ("Clock:", _clock(facts))]
    host = facts.host or ("not set" if facts.is_read else NOT_KNOWN)
    if facts.checks is None:
        rows.append(("Tenant:", f"{host} (not asked; --online asks)"))
    else:
        rows.append(("Tenant:", f"{host} {'answers' if facts.answers else 'does not answer'}"))
        rows += [("", f"{mark(each.is_good)} {_said(each)}") for each in facts.checks]
    if facts.units is not None and facts.units.is_installed:
        rows.append(("Confinement:", "active" if facts.units.is_confined else "missing"))
    return rows


def _of_renewals(facts: Facts) -> list[tuple[str, str]]:
    """Return the renewals before the last result, the newest first."""
    left = facts.state
    earlier = [each for each in left.renewals if (each.at_s, each.result) != (left.at_s, left.result)]
    rows = []
    for label, each in zip(("Before that:", "", ""), earlier, strict=False):
        more = f": {each.reason}" if each.reason else f", serial {each.serial}" if each.serial else ""
        rows.append((label, f"{each.result.replace('-', ' ')} on {local(each.at_s)}{more}"))
    return rows


def _clock(facts: Facts) -> str:
    # Not a problem by itself: a device may get its time from elsewhere, and the certificate shows a wrong clock.
    if facts.clock_is_synchronised is None:
        return f"{NOT_KNOWN} whether it is synchronised"
    return "synchronised" if facts.clock_is_synchronised else f"not synchronised ({cure_of_clock(facts)})"


def _of_certificate(facts: Facts, active: CertificateFacts) -> list[tuple[str, str]]:
    rows = [("Certificate:", f"{active.path} ({NOT_KNOWN})" if active.is_hidden else active.path)]
    if not active.fault:
        rows += [
            ("Subject:", active.subject),
            ("Issuer:", active.issuer),
            ("Serial number:", active.serial),
            ("Valid from:", local(active.not_before_s)),
            ("Valid until:", f"{local(active.not_after_s)} ({_distance(facts, active.not_after_s)})"),
            ("Renewal:", _renewal(facts)),
            ("Key:", _key(facts)),
        ]
    if facts.key.candidate_s:
        rows.append(("New key:", f"made on {local(facts.key.candidate_s)}, waits for its certificate to be in use"))
    for label, other in (("Candidate:", facts.candidate), ("Previous:", facts.previous)):
        if other is not None and other.is_hidden:
            rows.append((label, NOT_KNOWN))
        elif other is not None:
            serial = f"serial {other.serial}, valid until {local(other.not_after_s)}"
            rows.append((label, f"{other.path} holds no certificate" if other.fault else serial))
    return rows


def _renewal(facts: Facts) -> str:
    threshold = format_duration(facts.threshold_s, 2)
    if facts.spread_s:
        threshold += f", spread {format_duration(facts.spread_s, 2)}"
    if facts.due_s <= facts.now_s:
        return f"due since {local(facts.due_s)} (threshold {threshold})"
    return f"from {local(facts.due_s)} on ({_distance(facts, facts.due_s)}; threshold {threshold})"


def _key(facts: Facts) -> str:
    if facts.key.fits is None:
        return f"{NOT_KNOWN}: {facts.key.path} is not for you to read, and no run has looked yet"
    says = "belongs to the certificate" if facts.key.fits else "does not belong to the certificate"
    return f"{says}, as a run found on {local(facts.key.looked_at_s)}" if facts.key.looked_at_s else says


def _result(facts: Facts, found: list[Problem]) -> str:
    left = facts.state
    if "last" in facts.not_known:
        return f"{NOT_KNOWN}: {facts.state_fault}" if facts.state_fault else NOT_KNOWN
    if not left.result:
        return "none yet (an hour with nothing to do leaves none)"
    what = f"{left.result.replace('-', ' ')} on {local(left.at_s)}"
    if over := why_over(facts):
        return f"{what}, which is over: {over}"
    if any(left.reason and left.reason in each.what for each in found):
        return f"{what}, see above"
    return f"{what}: {left.reason}" if left.reason else what


def _said(check: Check) -> str:
    """Return what a check found; the reason of one that failed is explained as a problem."""
    known = check.is_good is not False or check.name in ("broker", "bridge")
    return check.said if known else f"{_CHECKS[check.name]} {check.of}, see above"


_CHECKS = {
    "name": "name",
    "https": "HTTPS at",
    "clock": "clock against",
    "token": "TLS at",
    "mqtt": "TLS at",
    "disk": "disk at",
}


def _attempts(facts: Facts) -> str:
    left = facts.state
    following = f", the next not before {local(left.next_attempt_s)}" if left.next_attempt_s else ""
    return f"{left.attempts} failed{following}"


def _timer(facts: Facts) -> str:
    units = facts.units
    if units is None and facts.is_systemd_asked:
        return f"{NOT_KNOWN}: systemd did not answer"
    if units is None:
        return "none: no unit of systemd reads this configuration; cron or another service has to call the steps"
    if not units.is_installed:
        return "not installed"
    others = "started with the mapper" if facts.is_beside else "not enabled"
    words = ["enabled" if units.is_enabled else others, "active" if units.is_active else "not active"]
    if units.is_running:
        words.append("a run is under way")
    elif units.next_run_s:
        words.append(f"next run {local(units.next_run_s)} ({_distance(facts, units.next_run_s)})")
    if is_failed_run_over(facts):
        words.append("the run that failed is older than certificate, key and settings are now")
    return ", ".join(words)


def _bridge(facts: Facts) -> str:
    if facts.bridge.is_configured is None:
        return NOT_KNOWN
    if facts.is_disconnected:
        return f"disconnected by `sudo tedge disconnect {facts.words}` on {local(facts.state.disconnected_s)}"
    if not facts.bridge.is_configured:
        return "not configured"
    silent = f"{NOT_KNOWN}: the broker does not answer"
    state = {True: "connected", False: "not connected", None: silent}[facts.bridge.is_up]
    return f"{state} (built into {facts.bridge.mapper})" if facts.bridge.mapper else state


def _distance(facts: Facts, at_s: int) -> str:
    distance = format_duration(abs(at_s - facts.now_s), 2)
    return f"in {distance}" if at_s >= facts.now_s else f"{distance} ago"
