# SPDX-License-Identifier: Apache-2.0
"""Find the problems of an instance in its facts, each with the command that cures it."""

from collections.abc import Iterator
from dataclasses import dataclass

from tedge_cert import beside, cures
from tedge_cert.config import no_effect
from tedge_cert.durations import format_duration
from tedge_cert.events import NOT_TRUSTED_YET, SUCCESSES, WAITS_FOR_APPROVAL
from tedge_cert.hourly import schedule
from tedge_cert.status.facts import BridgeFacts, CertificateFacts, Facts, UnitFacts
from tedge_cert.times import local

HEALTHY, ATTENTION, BROKEN = 0, 1, 2
# In the journal of a unit that ended before its first program: EXIT_EXEC, EXIT_GROUP, EXIT_USER (systemd.exec(5)),
# and their steps.
_MISSING = ("(status 203)", "(status 216)", "(status 217)", "step EXEC", "step GROUP", "step USER")
# Differences between bridge and settings that a problem names.
_SHOWN = 3
WORDS = ("healthy", "attention", "broken")


@dataclass(frozen=True)
class Problem:
    """Something that a person should know, how bad it is, and what to type."""

    rank: int
    what: str
    cure: str


def problems(facts: Facts) -> list[Problem]:
    """Return all problems, the worst first."""
    found = [*_of_configuration(facts)]
    # A person disconnected it: nothing uses its certificate, and nothing is expected to renew it.
    if not facts.is_disconnected:
        found += [*_of_certificate(facts), *_of_renewal(facts), *_of_surroundings(facts)]
    return sorted(found, key=lambda each: -each.rank)


def health(found: list[Problem]) -> int:
    """Return the rank of the worst problem, which is also the exit code."""
    return max((each.rank for each in found), default=HEALTHY)


def why_over(facts: Facts) -> str:
    """Return why the last failure is history; empty if it still counts, or if the last result is no failure."""
    left, active, units = facts.state, facts.certificate, facts.units
    if left.result in ("", *(each.name for each in SUCCESSES)) or active is None or active.fault:
        return ""
    if left.serial and (left.serial, left.not_before_s) != (active.serial, active.not_before_s):
        return "the certificate was replaced since"
    if facts.has_other_settings:
        return "the settings were changed since"
    if left.attempts:
        wanted = facts.due_s <= facts.now_s or facts.candidate is not None or facts.previous is not None
        return "" if wanted else "no renewal is due"
    if units is not None and units.has_failed and not is_failed_run_over(facts):
        return ""
    return "" if any(_of_certificate(facts)) else "nothing of it is left"


def failures(facts: Facts) -> int:
    """Return the renewals that failed one after the other, and still count."""
    return 0 if why_over(facts) else facts.state.attempts


def is_failed_run_over(facts: Facts) -> bool:
    """Return whether a renewal succeeded, or certificate, key or settings were changed, after the unit had failed."""
    units = facts.units
    # Both are whole seconds. A run that itself changed a file and then failed counts by its attempt.
    return units is not None and 0 < units.failed_s <= max(facts.state.succeeded_s, facts.changed_s)


def _of_configuration(facts: Facts) -> Iterator[Problem]:
    if facts.fault:
        file, is_no_toml, _ = facts.fault.partition(" is not valid TOML")
        # The reason may name its own command.
        named = facts.fault.partition("`")[2].partition("`")[0]
        other = f"sudo editor {file}" if is_no_toml else "tedge config list --doc"
        yield Problem(BROKEN, facts.fault, facts.cure or named or other)
    elif facts.unread:
        what = f"the settings of {facts.cloud} in {facts.unread} are not read, as {facts.cloud} has files below mappers"
        yield Problem(ATTENTION if facts.host else BROKEN, what, "sudo tedge config upgrade")
    elif not facts.host:
        option = facts.words.removeprefix(facts.cloud)
        yield Problem(BROKEN, "no tenant is set", f"sudo tedge config set c8y.url mytenant.cumulocity.com{option}")
    if facts.key_in_hardware:
        what = no_effect.what_of_hardware(facts.key_in_hardware)
        yield Problem(BROKEN, what, no_effect.cure_of_hardware())
    for each in facts.misspelt:
        yield Problem(ATTENTION, each.what, each.cure)
    for what, cure in facts.passwords:
        yield Problem(ATTENTION, what, cure)


def _of_certificate(facts: Facts) -> Iterator[Problem]:
    active = facts.certificate
    if active is None:
        return
    if active.fault:
        yield _unread(facts, active)
        return
    yield from _of_dates(facts, active)
    if active.flaw:
        yield Problem(
            BROKEN, f"the certificate {active.flaw}", cures.by_root("cert download", facts.words, "--device-id <id>")
        )
    if facts.key.is_half_switched:
        yield Problem(
            BROKEN,
            f"certificate and key were switched by half: {facts.key.path} is not the key of {active.path}, which lies "
            "beside it",
            cures.finishing(facts.words),
        )
    elif facts.key.fits is False:
        reason = facts.key.fault or f"the private key {facts.key.path} is not the one of the certificate"
        yield Problem(BROKEN, reason, facts.key.cure or _register(facts))
    elif facts.key.fault:
        # Of a key in a token, which a status does not use.
        yield Problem(BROKEN, facts.key.fault, facts.key.cure)
    if facts.key.rotation_fault:
        yield Problem(BROKEN, facts.key.rotation_fault, facts.key.rotation_cure)
    if facts.key.is_shut_to_broker:
        yield Problem(
            ATTENTION,
            f"mosquitto may not read the private key {facts.key.path}, so its bridge cannot connect: expected owner "
            "and group tedge:mosquitto, mode 0640",
            cures.by_root("reconnect", facts.words),
        )
    if fault := schedule.threshold_fault(facts.threshold_s, active.lifetime_s):
        better = schedule.better_threshold(active.lifetime_s)
        yield Problem(
            ATTENTION,
            f"{fault}; {schedule.OFFLINE_RULE}",
            f"sudo tedge config set certificate.validity.minimum_duration {better}",
        )


def _unread(facts: Facts, active: CertificateFacts) -> Problem:
    if not active.is_hidden:
        return Problem(BROKEN, active.fault, active.cure or _register(facts))
    if facts.is_other_user:
        what = f"this user may not read {active.path}, so nothing is known of the certificate"
        return Problem(ATTENTION, what, cures.by_root("cert status"))
    what = f"user tedge may not read {active.path}, so the certificate cannot be renewed"
    return Problem(BROKEN, what, cures.by_root("reconnect", facts.words))


def _of_dates(facts: Facts, active: CertificateFacts) -> Iterator[Problem]:
    if facts.now_s < active.not_before_s:
        ahead = format_duration(active.not_before_s - facts.now_s, 2)
        yield Problem(BROKEN, f"the clock is wrong: the certificate begins in {ahead} only", cure_of_clock(facts))
    elif facts.left_s < 0:
        ago = format_duration(-facts.left_s, 2)
        if facts.clock_is_synchronised is False:
            what = f"the clock may be wrong: it says {local(facts.now_s)}, and nothing synchronises it"
            yield Problem(BROKEN, what, cure_of_clock(facts))
        yield Problem(
            BROKEN,
            f"the certificate expired {ago} ago and cannot renew itself; register the device with a new one-time "
            "password",
            _register(facts),
        )


def cure_of_clock(facts: Facts) -> str:
    """Return what sets the clock here: `timedatectl` can only where a service of network time is installed."""
    return {
        "off": "sudo timedatectl set-ntp true",
        "on": "timedatectl status",
        "missing": "sudo apt install systemd-timesyncd",
        "container": "set the clock of the machine that runs this container",
    }.get(facts.timekeeper, "sudo date --utc --set 'YYYY-MM-DD hh:mm'")


def _register(facts: Facts) -> str:
    """Return the command that registers the device; while a registration runs, the one that shows its journal."""
    if facts.units is not None and facts.units.registration:
        return f"sudo journalctl -u {facts.units.registration} -n 20"
    return cures.registration(facts.words, facts.device_id)


def _of_renewal(facts: Facts) -> Iterator[Problem]:
    left, failed = facts.state, failures(facts)
    waits = bool(failed) and left.result == NOT_TRUSTED_YET.name
    if failed:
        times = "once" if failed == 1 else f"{failed} times"
        late = facts.certificate is not None and facts.left_s < facts.threshold_s / 3
        is_pending = left.result == WAITS_FOR_APPROVAL.name
        what = "the renewal waits for approval" if is_pending else f"the renewal has failed {times}"
        yield Problem(
            BROKEN if late else ATTENTION,
            f"{what}: {left.reason or left.result}",
            _upload(facts, facts.candidate) if waits and facts.candidate is not None else _journal_of(facts),
        )
    if facts.previous is not None:
        yield Problem(
            ATTENTION,
            "a switch of the certificate is unfinished: the next run finishes or undoes it",
            cures.finishing(facts.words),
        )
    elif facts.candidate is not None and not waits:
        cure = facts.candidate.cure or cures.finishing(facts.words)
        yield Problem(ATTENTION, _of_candidate(facts, facts.candidate), cure)


def _upload(facts: Facts, candidate: CertificateFacts) -> str:
    """Return the command by which the tenant gets to trust the candidate, or the authority that issued it."""
    return f"tedge cert upload {facts.words}{'' if candidate.issuer == candidate.subject else ' --authority'}"


def _of_candidate(facts: Facts, candidate: CertificateFacts) -> str:
    """Say since when a candidate waits, and what takes it into use."""
    if candidate.fault:
        return candidate.fault
    since = f" since {local(candidate.written_s)}" if candidate.written_s else ""
    when = "with its next run" if facts.due_s <= facts.now_s else f"when the certificate is due, {local(facts.due_s)}"
    by = "a verification" if facts.is_beside else "a reconnect"
    return f"a new certificate waits{since}: {candidate.path}; {by} takes it into use now, the hourly check {when}"


def _of_surroundings(facts: Facts) -> Iterator[Problem]:
    if facts.sudoers:
        what = f"{facts.sudoers} lets user tedge run programs as root, and nothing here needs that"
        yield Problem(ATTENTION, what, f"sudo rm {facts.sudoers}")
    if facts.units is not None:
        yield from _of_units(facts, facts.units)
    yield from _of_bridge(facts)
    for each in facts.checks or ():
        # Broker and bridge have their problems above.
        if each.is_good is False and each.name not in ("broker", "bridge"):
            cure = cure_of_clock(facts) if each.name == "clock" else each.cure
            yield Problem(ATTENTION, each.said, cure)


def _of_bridge(facts: Facts) -> Iterator[Problem]:
    bridge, reconnect = facts.bridge, cures.by_root("reconnect", facts.words)
    if bridge.is_configured is False and not facts.fault:
        yield Problem(ATTENTION, "the device is not connected: it has no bridge", cures.by_root("connect", facts.words))
    elif facts.units is not None and not facts.units.has_broker:
        what = "mosquitto is not installed, whose bridge connects the device"
        yield Problem(ATTENTION, what, "sudo apt install mosquitto")
    elif bridge.missing_link:
        what = f"mosquitto does not know of the bridge: {bridge.missing_link} is missing"
        yield Problem(ATTENTION, what, reconnect)
    elif bridge.differences or bridge.is_unread:
        yield Problem(ATTENTION, _other_settings(bridge), reconnect)
    elif bridge.prefers_tpm:
        what = (
            "OpenSSL's configuration is that of Debian 12, which prefers the TPM for every key; later versions then "
            "fail with keys in files"
        )
        yield Problem(ATTENTION, what, reconnect)
    elif bridge.is_configured and bridge.is_up is None:
        yield Problem(ATTENTION, "no answer from the local broker", "systemctl status mosquitto.service")
    elif bridge.is_configured and not bridge.is_up and bridge.uses_hardware:
        what = (
            "the bridge is not connected; mosquitto opens the hardware with the private key when it starts, and may "
            "have lost it since"
        )
        yield Problem(ATTENTION, what, reconnect)
    elif bridge.is_configured and not bridge.is_up:
        yield Problem(ATTENTION, "the bridge is not connected", f"tedge connect {facts.words} --test")
    if bridge.uses_former:
        what = (
            f"{bridge.mapper} still uses the former certificate, which it read when it started: it will not connect "
            "any more when that has expired"
        )
        yield Problem(ATTENTION, what, f"sudo systemctl restart {bridge.mapper}")


def _other_settings(bridge: BridgeFacts) -> str:
    """Say in what the bridge differs from the settings; the first differences are enough to recognise the change."""
    if not bridge.differences:
        return "mosquitto was not restarted since its bridge was configured"
    shown, more = bridge.differences[:_SHOWN], len(bridge.differences) - _SHOWN
    rest = f"; and {more} more" if more > 0 else ""
    return f"the bridge has other settings than the configuration: {'; '.join(shown)}{rest}"


def _of_units(facts: Facts, units: UnitFacts) -> Iterator[Problem]:
    if not units.is_installed:
        yield Problem(
            BROKEN, f"{units.timer} or its service is missing", f"sudo apt-get install --reinstall {beside.packages()}"
        )
        return
    if facts.missing_accounts:
        yield Problem(
            BROKEN,
            f"there is no {' and no '.join(facts.missing_accounts)}, as whom the renewal runs: systemd takes that for "
            "nothing to do, and the certificate will expire",
            # The account may have another number now, so `reconnect` corrects the owners of key and certificate.
            f"sudo systemd-sysusers && sudo systemd-tmpfiles --create && {cures.by_root('reconnect', facts.words)}",
        )
    elif units.not_started:
        yield Problem(
            BROKEN,
            f"the last run could not begin, which systemd takes for nothing to do: {units.not_started}",
            _cure_of_start(units),
        )
    elif units.has_failed and not is_failed_run_over(facts) and not failures(facts) and not any(_of_certificate(facts)):
        yield Problem(BROKEN, f"the last run failed ({units.result})", _journal_of(facts))
    # Beside thin-edge, the mapper wants the timer, and nothing enables it.
    enabled = units.is_enabled or facts.is_beside
    if facts.bridge.is_configured and not (enabled and units.is_active):
        state = "not enabled" if not enabled else "not active"
        yield Problem(
            ATTENTION,
            f"the certificate is not renewed: {units.timer} is {state}",
            f"sudo systemctl {'start' if facts.is_beside else 'enable --now'} {units.timer}",
        )
    if units.user and facts.settings_user not in ("", units.user):
        yield Problem(
            ATTENTION,
            f"the renewal runs as user {units.user}, and {beside.DIRECTORY} belongs to {facts.settings_user}: set "
            "User= and Group= (see tedge-cert-renewer-beside(7))",
            f"sudo systemctl edit {units.service}",
        )
    yield from _of_authority(facts, units)
    if not units.is_confined:
        yield Problem(
            ATTENTION, f"{units.service} is not confined: a drop-in took that away", f"systemctl cat {units.service}"
        )


def _of_authority(facts: Facts, units: UnitFacts) -> Iterator[Problem]:
    """Say that the timer asks another authority than the settings name."""
    asked = units.environment.get("RENEW_WITH_CA")
    if asked == "c8y" and facts.est_url and not facts.is_est_inherited:
        yield Problem(
            ATTENTION,
            f"the timer asks the tenant for the next certificate, and not {facts.est_url} (est.url): add the lines "
            "[Service] and Environment=RENEW_WITH_CA=est",
            f"sudo systemctl edit {units.service}",
        )
    elif asked == "est" and not facts.est_url:
        yield Problem(
            ATTENTION,
            "the timer asks an authority of your own (RENEW_WITH_CA=est), and est.url names none: set it, or ask the "
            "tenant with Environment=RENEW_WITH_CA=c8y",
            f"sudo systemctl edit {units.service}",
        )


def _cure_of_start(units: UnitFacts) -> str:
    """Return the cure: install a program that is missing; if nothing is missing any more, start again."""
    if units.has_program and any(word in units.not_started for word in _MISSING):
        return f"sudo systemctl start {units.service}"
    return f"sudo apt-get install --reinstall {beside.packages()}"


def _journal_of(facts: Facts) -> str:
    if facts.units is None:
        return cures.by_root("cert renew", facts.words)
    return f"sudo journalctl -x -u {facts.units.service} -n 20"
