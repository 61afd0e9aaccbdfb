# SPDX-License-Identifier: Apache-2.0
"""Step 1, the hourly path: decide whether there is anything to do, and import only what that needs."""

import os
import sys
import time

from tedge_cert import beside, cures, journal
from tedge_cert.config import auth_method, no_effect
from tedge_cert.config import settings as config
from tedge_cert.config.keys import CLOUDS
from tedge_cert.disk import aliases
from tedge_cert.disk.exposure import is_exposed
from tedge_cert.durations import format_duration, part_s
from tedge_cert.errors import (
    BROKEN_CONDITION,
    FAILURE,
    USAGE,
    CertificateError,
    ClockError,
    ConfigurationError,
    HeldBackError,
    TedgeCertError,
)
from tedge_cert.hourly import mapper_process, memo, schedule
from tedge_cert.hourly.pem_faults import PemError
from tedge_cert.hourly.validity import NOT_VALID_YET, VALID, Validity, flaw_of_name, read_validity

RENEW, SKIP = 0, 1
MINIMUM = "certificate.validity.minimum_duration"


class Question:
    """The question on the command line."""

    __slots__ = ("cert_path", "cloud", "config_dir", "expires_in", "profile", "systemd")

    def __init__(self) -> None:
        self.cloud = ""
        self.profile = os.environ.get("TEDGE_CLOUD_PROFILE", "")
        self.config_dir = ""
        self.cert_path = ""
        # A threshold for this question only, in place of the configured one.
        self.expires_in = ""
        self.systemd = False


def parse(arguments: list[str]) -> Question | None:
    """Parse ``arguments``; None for anything that needs the full parser (help, mistakes).

    Written by hand, because importing argparse costs as much as all the rest of the hourly check.
    """
    question = Question()
    by_option = False
    rest = iter(arguments)
    given: set[str] = set()
    for word in rest:
        option, equals, value = word.partition("=")
        if option in given:
            return None
        given.add(option)
        if option in ("--profile", "--cert-path", "--config-dir"):
            value = value if equals else next(rest, "")
            if not value:
                return None
            setattr(question, option[2:].replace("-", "_"), value)
            by_option = by_option or option == "--profile"
        elif word == "--systemd":
            question.systemd = True
        elif word in CLOUDS and not question.cloud:
            question.cloud = word
        else:
            return None
    return None if by_option and not question.cloud else question


def question_of(arguments: object) -> Question:
    """Make the question from a command line that the full parser read."""
    question = Question()
    for name in question.__slots__:
        setattr(question, name, getattr(arguments, name) or getattr(question, name))
    return question


def full_check(question: Question) -> int:
    """Return the exit code for ``question``; print errors in one line."""
    if os.geteuid() == 0 and not (question.config_dir or os.environ.get("TEDGE_CONFIG_DIR")):
        from tedge_cert.disk import privileges

        privileges.drop()
    if not question.systemd:
        return _command_line(question)
    try:
        return _unit(question)
    except (TedgeCertError, OSError, ValueError) as error:
        journal.line(journal.WARNING if isinstance(error, HeldBackError) else journal.ERROR, str(error))
        _tell(question, error)
        return BROKEN_CONDITION
    except Exception as error:
        from tedge_cert.steps.outcome import reason_of

        journal.error(reason_of(error))
        _tell(question, error)
        raise


def _unit(question: Question) -> int:
    """Answer the unit. The order of this function and the next is the contract: an answer overrules those below it."""
    # Before the first file is read, so that the memo notices a change during the check.
    began_ns = memo.clocks()
    settings, path = _settings(question)
    # Both may be parts of the lifetime; here they are read for their errors only.
    settings.need(MINIMUM)
    schedule.spread_s(os.environ.get(schedule.SPREAD, ""), 0)
    no_effect.refuse_key_in_hardware(settings, question.cloud)
    if os.path.lexists(path + ".previous"):
        journal.info(f"the switch to {path} is unfinished, the next steps finish or undo it")
        return _renew(question, settings)
    if question.cloud == "c8y" and auth_method.is_basic(settings):
        journal.info(
            f"nothing to renew: c8y.auth_method is {settings.need('c8y.auth_method')}, so the device connects with the "
            f"user and password in {settings.need('c8y.credentials_path')} and no certificate"
        )
        return SKIP
    return _by_validity(question, settings, path, began_ns)


def _by_validity(question: Question, settings: config.Config, path: str, began_ns: tuple[int, int]) -> int:
    key = settings.need(config.key_for(question.cloud, "device.key_path"))
    # Of the signing request, which the hour does not touch, the next command that writes one says more.
    aliases.check(path, key, option=settings.option)
    validity, configured = _read(path), settings.need(MINIMUM)
    if flaw := flaw_of_name(validity):
        raise CertificateError(f"the certificate {path} {flaw}; {cures.register()} gets another one")
    minimum_s = part_s(configured, validity.lifetime_s)
    spread = schedule.spread_s(os.environ.get(schedule.SPREAD, ""), minimum_s)
    now_s = time.time()
    if fault := validity.clock_fault(now_s):
        raise ClockError(f"the clock is wrong: {fault}; {cures.clock()}, until then {path} is not judged")
    lead = schedule.lead_of(validity, minimum_s, spread)
    threshold = format_duration(minimum_s) if configured.isdecimal() else configured
    if threshold.endswith("%"):
        threshold = f"{format_duration(minimum_s, 2)}, {threshold} of its life"
    if lead > minimum_s:
        earlier = format_duration(int(lead) - minimum_s, 2)
        threshold = f"{format_duration(int(lead), 2)} ({threshold}, and {earlier} of the spread)"
    if validity.state(now_s, lead) == VALID:
        journal.info(memo.line_of(path, validity.left_s(now_s), threshold))
        # A mapper that was started before the certificate changed: an hour that says so leaves no memo.
        if not is_exposed(key) and not _uses_former(question, settings, path):
            watched = [path, key, *settings.trees, *settings.searched, *auth_method.files(settings)]
            memo.write(sys.argv[1:], dict(os.environb), watched, validity, (lead, threshold), path, began_ns)
        return SKIP
    # A certificate is rarely due, so this part may import more.
    from tedge_cert.steps import due

    go_on = due.go_on(settings, question.cloud, path, validity, now_s, threshold)
    return _renew(question, settings) if go_on else SKIP


def _renew(question: Question, settings: config.Config) -> int:
    """Let the next steps run; beside thin-edge, systemd learns before whether they need the key from it."""
    if beside.is_beside():
        from pathlib import Path

        from tedge_cert.device import handed_key

        key = Path(settings.need(config.key_for(question.cloud, "device.key_path")))
        handed_key.announce(key, Path(settings.need("run.path")) / memo.DIRECTORY)
    return RENEW


def _uses_former(question: Question, settings: config.Config, path: str) -> bool:
    """Return whether the mapper of thin-edge still uses the certificate that was at ``path`` before, and warn of it.

    While the memo holds, the certificate has not changed, and a mapper that was restarted since has the right one.
    """
    bridge_file = mapper_process.bridge_file_of(settings.directory, settings.profile)
    if question.cloud != "c8y" or not mapper_process.is_built_in(bridge_file):
        return False
    unit = mapper_process.unit_of(settings.profile)
    behind = mapper_process.is_behind(mapper_process.processes(unit) or [], path) is True
    if behind:
        journal.warning(
            f"{unit} still uses the certificate that was at {path} when it started; `sudo systemctl restart {unit}` "
            "makes it use this one"
        )
    return behind


def _tell(question: Question, error: Exception) -> None:
    from tedge_cert import afterwards
    from tedge_cert.steps.outcome import condition_failed

    if isinstance(error, ConfigurationError):
        settings = config.Config(config.directory_of(question.config_dir), question.profile)
    else:
        settings, _ = _settings(question)
    condition_failed(settings, question.cloud, error)
    afterwards.finish()


def _command_line(question: Question) -> int:
    """Return the exit code of thin-edge: 0 renew, 1 valid, not valid yet or bad configuration, 2 not a certificate."""
    try:
        settings, path = _settings(question)
        threshold = question.expires_in or settings.need(MINIMUM)
    except TedgeCertError as error:
        journal.error(str(error))
        return FAILURE
    unfinished = not question.cert_path and os.path.lexists(path + ".previous")
    try:
        validity = _read(path)
    except TedgeCertError as error:
        journal.error(str(error))
        return RENEW if unfinished else USAGE
    now_s, minimum_s = time.time(), part_s(threshold, validity.lifetime_s)
    from tedge_cert import terminal

    terminal.tell(f"Status:        {terminal.of_status(validity.describe(now_s, minimum_s))}\n")
    if unfinished:
        journal.info(f"the switch to {path} is unfinished; {cures.finish()} finishes it")
        return RENEW
    return SKIP if validity.state(now_s, minimum_s) in (VALID, NOT_VALID_YET) else RENEW


def _settings(question: Question) -> tuple[config.Config, str]:
    settings = config.load(question.config_dir, question.profile if question.cloud else "")
    cures.name_instance(f"c8y --profile {settings.profile}" if settings.profile else "c8y")
    if question.cloud:
        config.need_profile(settings, question.cloud)
    return settings, question.cert_path or settings.need(config.key_for(question.cloud, "device.cert_path"))


def _read(path: str) -> Validity:
    try:
        return read_validity(path)
    except FileNotFoundError as error:
        raise CertificateError(
            f"cannot check the certificate {path}: there is no such file; {cures.register()} gets the first one"
        ) from error
    except PermissionError as error:
        raise CertificateError(
            f"cannot check the certificate {path}: {error.strerror}; expected owner tedge, group mosquitto, mode 0644, "
            f"in directories that every user may enter{cures.mend(error)}"
        ) from error
    except PemError as error:
        raise CertificateError(f"cannot check the certificate {path}: {error}; {_cure(error, path)}") from error
    except OSError as error:
        raise CertificateError(
            f"cannot check the certificate {path}: {error.strerror}; expected a file in a sound file system"
        ) from error


def _cure(error: PemError, path: str) -> str:
    """Return what mends the file: a command, or, where nothing can, the way to another certificate."""
    if not error.cure:
        return f"restore it, or {cures.register_again()}"
    from shlex import quote

    return f"`{error.cure.replace('FILE', quote(path))}` mends it"


EXITS = {
    0: "a renewal is needed, or a switch is unfinished",
    1: "nothing to do: still valid, or not valid yet",
    2: "not a certificate, or misuse of the command line",
    255: "with --systemd: certificate, configuration or clock are broken, or the certificate has expired",
}
