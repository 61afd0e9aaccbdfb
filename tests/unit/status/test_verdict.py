# SPDX-License-Identifier: Apache-2.0
"""Problems, their rank, and the command that cures each."""

from dataclasses import replace
from typing import Any

import pytest

from tedge_cert.device.state import State
from tedge_cert.status.facts import BridgeFacts, KeyFacts
from tedge_cert.status.text import text_of
from tedge_cert.status.verdict import ATTENTION, BROKEN, HEALTHY, failures, health, problems, why_over
from tedge_cert.times import local
from unit.certificates import DAY_S, NOW_S
from unit.statuses import FAILING, UNHEALTHY, certificate, facts, units

# Rank, a word of the sentence, a word of the command.
EXPECTED = {
    "configuration": (BROKEN, "is not valid TOML", "sudo editor /etc/tedge/tedge.toml"),
    "hidden": (ATTENTION, "this user may not read /c.pem", "sudo tedge cert status"),
    "shut": (BROKEN, "user tedge may not read /c.pem", "tedge reconnect c8y"),
    "missing": (BROKEN, "No such file", "tedge cert download c8y"),
    "indented": (BROKEN, "its lines are indented", "sudo sed -i 's/^ *//' /c.pem"),
    "expired": (BROKEN, "expired 1d ago", "sudo tedge cert download c8y --device-id device-1"),
    "clock": (BROKEN, "begins in 1d only", "timedatectl status"),
    "key": (BROKEN, "/k.pem is not the one", "tedge cert download c8y"),
    "half-switched": (BROKEN, "certificate and key were switched by half", "tedge reconnect c8y"),
    "rotation": (BROKEN, "/k.pem is a symbolic link", "tedge config set certificate.rotate_key false"),
    "key-shut": (ATTENTION, "mosquitto may not read the private key /k.pem", "tedge reconnect c8y"),
    "threshold": (ATTENTION, "no shorter than the life", "minimum_duration 30d"),
    "threshold-short": (ATTENTION, "three times the longest time that the device is offline", "minimum_duration 30d"),
    "failing": (
        ATTENTION,
        "failed 3 times: tenant.test answered 503",
        "journalctl -x -u tedge-cert-renewer@c8y.service",
    ),
    "failing-late": (BROKEN, "failed 3 times", "journalctl -x"),
    "previous": (ATTENTION, "unfinished", "tedge reconnect c8y"),
    "hardware": (BROKEN, "device.key_uri says that the private key is in a token", "device.cryptoki.mode module"),
    "misspelt": (
        ATTENTION,
        "c8y.ulr in /nonexistent/tedge.toml has no effect",
        "sudo editor +1 /nonexistent/tedge.toml",
    ),
    "no-tenant": (BROKEN, "no tenant is set", "tedge config set c8y.url"),
    "settings-unread": (ATTENTION, "c8y in /etc/tedge/tedge.toml are not read", "sudo tedge config upgrade"),
    "settings-unread-needed": (BROKEN, "c8y in /etc/tedge/tedge.toml are not read", "sudo tedge config upgrade"),
    "not-uploaded": (ATTENTION, "failed 3 times", "tedge cert upload c8y"),
    "waits-for-approval": (
        ATTENTION,
        "the renewal waits for approval",
        "journalctl -x -u tedge-cert-renewer@c8y.service",
    ),
    "issuer-unknown": (ATTENTION, "failed 3 times", "tedge cert upload c8y --authority"),
    "candidate": (
        ATTENTION,
        f"a new certificate waits since {local(NOW_S - DAY_S)}: /c.pem.new",
        "tedge reconnect c8y",
    ),
    "authority-not-asked": (
        ATTENTION,
        "the timer asks the tenant for the next certificate, and not https://est.test/.well-known/est (est.url): add "
        "the lines [Service] and Environment=RENEW_WITH_CA=est",
        "sudo systemctl edit tedge-cert-renewer@c8y.service",
    ),
    "authority-unset": (
        ATTENTION,
        "the timer asks an authority of your own (RENEW_WITH_CA=est), and est.url names none: set it, or ask the "
        "tenant with Environment=RENEW_WITH_CA=c8y",
        "sudo systemctl edit tedge-cert-renewer@c8y.service",
    ),
    "no-bridge": (ATTENTION, "not connected", "tedge connect c8y"),
    "no-broker": (ATTENTION, "no answer from the local broker", "systemctl status mosquitto"),
    "broker-missing": (ATTENTION, "mosquitto is not installed", "apt install mosquitto"),
    "link-missing": (ATTENTION, "/etc/mosquitto/conf.d/50-x.conf is missing", "tedge reconnect c8y"),
    "bridge-down": (ATTENTION, "bridge is not connected", "tedge connect c8y --test"),
    "bridge-without-hardware": (
        ATTENTION,
        "mosquitto opens the hardware with the private key",
        "sudo tedge reconnect c8y",
    ),
    "other-settings": (ATTENTION, "address old.test:8883 instead of tenant.test:8883", "tedge reconnect c8y"),
    "other-openssl": (ATTENTION, "OpenSSL's configuration is that of Debian 12", "tedge reconnect c8y"),
    "not-restarted": (ATTENTION, "mosquitto was not restarted", "tedge reconnect c8y"),
    "tenant": (ATTENTION, "no answer from https://tenant.test", "tedge config get c8y.http"),
    "units": (BROKEN, "missing", "--reinstall tedge-cert-renewer"),
    "not-started": (BROKEN, "Failed at step EXEC", "--reinstall tedge-cert-renewer"),
    "program-back": (BROKEN, "Failed at step EXEC", "systemctl start tedge-cert-renewer@c8y.service"),
    "account": (
        BROKEN,
        "there is no user tedge",
        "sudo systemd-sysusers && sudo systemd-tmpfiles --create && sudo tedge reconnect c8y",
    ),
    "account-back": (BROKEN, "(status 217)", "systemctl start tedge-cert-renewer@c8y.service"),
    "failed": (BROKEN, "the last run failed (timeout)", "journalctl -x"),
    "timer-disabled": (ATTENTION, "is not enabled", "systemctl enable --now tedge-cert-renewer@c8y.timer"),
    "timer-stopped": (ATTENTION, "is not active", "systemctl enable --now tedge-cert-renewer@c8y.timer"),
    "unconfined": (ATTENTION, "not confined", "systemctl cat tedge-cert-renewer@c8y.service"),
    "sudoers": (ATTENTION, "/etc/sudoers.d/tedge lets user tedge run programs as root", "rm /etc/sudoers.d/tedge"),
}


def test_a_healthy_instance_has_no_problem() -> None:
    assert problems(facts()) == []
    assert health([]) == HEALTHY


@pytest.mark.parametrize("name", UNHEALTHY)
def test_each_problem_has_its_cure(name: str) -> None:
    rank, what, cure = EXPECTED[name]
    found = problems(UNHEALTHY[name])
    assert len(found) == 1, found
    assert found[0].rank == rank == health(found)
    assert what in found[0].what
    assert cure in found[0].cure


@pytest.mark.parametrize(
    ("ca", "changed"),
    [
        ("c8y", {}),
        # A profile may have its certificates from another authority than the plain est.url.
        ("c8y", {"est_url": "https://est.test", "is_est_inherited": True}),
        ("est", {"est_url": "https://est.test"}),
        ("est", {"est_url": "https://est.test", "is_est_inherited": True}),
        ("self-signed", {"est_url": "https://est.test"}),
    ],
)
def test_a_timer_that_asks_the_right_authority(ca: str, changed: dict[str, Any]) -> None:
    assert problems(facts(units=units(environment={"RENEW_WITH_CA": ca}), **changed)) == []


def test_the_worst_stands_first() -> None:
    found = problems(facts(units=units(is_active=False), key=KeyFacts("/k.pem", False)))
    assert [each.rank for each in found] == [BROKEN, ATTENTION]


def test_a_failed_run_that_left_its_reason_is_shown_once() -> None:
    assert len(problems(facts(state=FAILING, due_s=NOW_S, units=units(has_failed=True, result="exit-code")))) == 1


def test_a_key_that_no_run_checked_is_no_problem() -> None:
    assert problems(facts(key=KeyFacts("/k.pem"))) == []


def test_without_systemd_no_problem_names_units() -> None:
    assert problems(facts(units=None)) == []
    assert problems(facts(units=None, state=FAILING, due_s=NOW_S))[0].cure == "sudo tedge cert renew c8y"


def test_a_timer_is_not_missed_before_the_device_is_connected() -> None:
    whats = [each.what for each in problems(facts(units=units(is_enabled=False), bridge=BridgeFacts(False)))]
    assert whats == ["the device is not connected: it has no bridge"]


def test_a_registration_under_way_is_where_to_look() -> None:
    found = facts(
        certificate=UNHEALTHY["missing"].certificate, units=units(registration="tedge-cert-download@c8y.service")
    )
    assert problems(found)[0].cure == "sudo journalctl -u tedge-cert-download@c8y.service -n 20"


def test_a_clock_that_nothing_keeps_is_shown_and_no_problem() -> None:
    assert problems(facts(clock_is_synchronised=False)) == []


def test_a_certificate_that_is_due_waits_for_the_next_run() -> None:
    assert problems(facts(certificate=certificate(not_after_s=facts().now_s + 86_400))) == []


REJECTED = replace(FAILING, result="candidate-rejected", step="verify", serial="1234", not_before_s=NOW_S - 100 * DAY_S)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, "no renewal is due"),
        ({"due_s": NOW_S, "has_other_settings": True}, "the settings were changed since"),
        ({"due_s": NOW_S, "certificate": certificate(serial="5678")}, "the certificate was replaced since"),
        ({"due_s": NOW_S, "certificate": certificate(not_before_s=NOW_S)}, "the certificate was replaced since"),
    ],
)
def test_a_failure_that_is_over_is_history(changed: dict[str, Any], why: str) -> None:
    found = facts(**{"state": REJECTED, **changed})
    assert (problems(found), failures(found), why_over(found)) == ([], 0, why)


@pytest.mark.parametrize("changed", [{"due_s": NOW_S}, {"candidate": certificate(path="/c.pem.new")}])
def test_a_failure_counts_while_a_renewal_is_wanted(changed: dict[str, Any]) -> None:
    found = facts(**{"state": REJECTED, **changed})
    assert (health(problems(found)), failures(found), why_over(found)) == (ATTENTION, 3, "")


def test_a_failed_run_is_history_once_its_cure_was_typed() -> None:
    """The cure wrote certificate, key or settings, or a renewal succeeded; the next hour is not waited for."""
    failed = units(has_failed=True, failed_s=NOW_S - 60, result="exit-code")
    unusable = State(result="certificate-unusable", reason="cannot read /c.pem", at_s=NOW_S - 60, step="condition")
    assert health(problems(facts(units=failed, state=unusable, changed_s=NOW_S - 61))) == BROKEN
    assert problems(facts(units=failed, state=unusable, changed_s=NOW_S - 30)) == []
    assert problems(facts(units=failed, state=replace(unusable, succeeded_s=NOW_S - 30))) == []


@pytest.mark.parametrize(
    ("due_s", "said"), [(NOW_S, "the hourly check with its next run"), (NOW_S + DAY_S, "when the certificate is due, ")]
)
def test_what_takes_a_candidate_into_use(due_s: int, said: str) -> None:
    found = problems(facts(candidate=certificate(path="/c.pem.new"), due_s=due_s))
    assert "a reconnect takes it into use now" in found[0].what
    assert found[0].cure == "sudo tedge reconnect c8y"
    assert said in found[0].what


def test_a_profile_that_was_disconnected_on_purpose_is_no_fault() -> None:
    away = {"bridge": BridgeFacts(False), "units": units(is_enabled=False, is_active=False)}
    found = facts(**away, state=State(disconnected_s=NOW_S), certificate=certificate(not_after_s=NOW_S - DAY_S))
    assert problems(found) == []
    assert "disconnected by `sudo tedge disconnect c8y` on " in text_of(found, [])
    assert health(problems(facts(**away))) == ATTENTION


def test_an_expired_certificate_by_a_clock_that_nothing_keeps_is_a_matter_of_the_clock_first() -> None:
    expired = facts(
        certificate=certificate(not_after_s=NOW_S - DAY_S), clock_is_synchronised=False, timekeeper="container"
    )
    assert [(each.rank, each.cure) for each in problems(expired)] == [
        (BROKEN, "set the clock of the machine that runs this container"),
        (BROKEN, "sudo tedge cert download c8y --device-id device-1"),
    ]


def test_a_file_that_a_command_mends_is_not_registered_anew() -> None:
    cures = {
        "sudo sed": facts(certificate=certificate(fault="it is indented", cure="sudo sed")),
        "sudo openssl": facts(key=KeyFacts("/k", False, fault="it is encrypted", cure="sudo openssl")),
        "sudo cp": facts(fault="one file in two roles", cure="sudo cp"),
    }
    for cure, found in cures.items():
        assert (problems(found)[0].rank, problems(found)[0].cure) == (BROKEN, cure)


def test_a_certificate_without_a_common_name_is_broken() -> None:
    worst = problems(facts(device_id="", certificate=certificate(flaw="has no common name (CN)")))[0]
    assert (worst.rank, worst.what) == (BROKEN, "the certificate has no common name (CN)")
    assert worst.cure == "sudo tedge cert download c8y --device-id <id>"
