# SPDX-License-Identifier: Apache-2.0
"""Problems, their rank, and the command that cures each."""

import pytest

from tedge_cert.status.facts import BridgeFacts, KeyFacts
from tedge_cert.status.verdict import ATTENTION, BROKEN, HEALTHY, health, problems
from unit.statuses import FAILING, UNHEALTHY, certificate, facts, units

# Rank, a word of the sentence, a word of the command.
EXPECTED = {
    "configuration": (BROKEN, "is not valid TOML", "tedge config list"),
    "missing": (BROKEN, "No such file", "tedge cert download c8y"),
    "expired": (BROKEN, "expired 1d ago", "tedge cert download c8y"),
    "clock": (BROKEN, "begins in 1d only", "timedatectl status"),
    "key": (BROKEN, "/k.pem is not the one", "tedge cert download c8y"),
    "key-shut": (ATTENTION, "mosquitto may not read the private key /k.pem", "tedge reconnect c8y"),
    "threshold": (ATTENTION, "no shorter than the life", "minimum_duration 2920h"),
    "failing": (
        ATTENTION,
        "failed 3 times: tenant.test answered 503",
        "journalctl -x -u tedge-cert-renewer@c8y.service",
    ),
    "failing-late": (BROKEN, "failed 3 times", "journalctl -x"),
    "previous": (ATTENTION, "unfinished", "tedge reconnect c8y"),
    "no-tenant": (BROKEN, "no tenant is set", "tedge config set c8y.url"),
    "not-uploaded": (ATTENTION, "failed 3 times", "tedge cert upload c8y"),
    "candidate": (ATTENTION, "candidate waits", "tedge reconnect c8y"),
    "no-bridge": (ATTENTION, "not connected", "tedge connect c8y"),
    "no-broker": (ATTENTION, "no answer from the local broker", "systemctl status mosquitto"),
    "broker-missing": (ATTENTION, "mosquitto is not installed", "apt install mosquitto"),
    "link-missing": (ATTENTION, "/etc/mosquitto/conf.d/50-x.conf is missing", "tedge reconnect c8y"),
    "bridge-down": (ATTENTION, "bridge is not connected", "tedge connect c8y --test"),
    "tenant": (ATTENTION, "no answer from https://tenant.test", "tedge config get c8y.http"),
    "units": (BROKEN, "missing", "--reinstall tedge-cert-renewer"),
    "not-started": (BROKEN, "Failed at step EXEC", "--reinstall tedge-cert-renewer"),
    "account": (
        BROKEN,
        "there is no user tedge",
        "systemd-sysusers && systemd-tmpfiles --create && tedge reconnect c8y",
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


def test_the_worst_stands_first() -> None:
    found = problems(facts(units=units(is_active=False), key=KeyFacts("/k.pem", False)))
    assert [each.rank for each in found] == [BROKEN, ATTENTION]


def test_a_failed_run_that_left_its_reason_is_shown_once() -> None:
    assert len(problems(facts(state=FAILING, units=units(has_failed=True, result="exit-code")))) == 1


def test_a_key_that_no_run_checked_is_no_problem() -> None:
    assert problems(facts(key=KeyFacts("/k.pem"))) == []


def test_without_systemd_no_problem_names_units() -> None:
    assert problems(facts(units=None)) == []
    assert problems(facts(units=None, state=FAILING))[0].cure == "tedge cert renew c8y"


def test_a_timer_is_not_missed_before_the_device_is_connected() -> None:
    whats = [each.what for each in problems(facts(units=units(is_enabled=False), bridge=BridgeFacts()))]
    assert whats == ["the device is not connected: it has no bridge"]


def test_a_registration_under_way_is_where_to_look() -> None:
    found = facts(
        certificate=UNHEALTHY["missing"].certificate, units=units(registration="tedge-cert-download@c8y.service")
    )
    assert problems(found)[0].cure == "journalctl -u tedge-cert-download@c8y.service -n 20"


def test_a_clock_that_nothing_keeps_is_shown_and_no_problem() -> None:
    assert problems(facts(clock_is_synchronised=False)) == []


def test_a_certificate_that_is_due_waits_for_the_next_run() -> None:
    assert problems(facts(certificate=certificate(not_after_s=facts().now_s + 86_400))) == []
