# SPDX-License-Identifier: Apache-2.0
"""Reading systemd's properties of timer and service; the texts are those of systemd 252 and 257."""

import json

import pytest

from tedge_cert.status.units import clock_of, facts_of, matches

TIMER = {
    "Id": "tedge-cert-renewer@c8y.timer",
    "LoadState": "loaded",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "NextElapseUSecRealtime": "Tue 2026-11-24 19:03:00 UTC",
}
SERVICE = {
    "Id": "tedge-cert-renewer@c8y.service",
    "LoadState": "loaded",
    "ActiveState": "inactive",
    "Result": "exec-condition",
    "Environment": "RENEW_WITH_CA=c8y RENEWAL_SPREAD=1d",
    "User": "tedge",
    "ProtectSystem": "strict",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
}
NOT_STARTED = "641257651c1b4ec9a8624d7a40a9e1e7"
SKIPPED = "0e4284a0caca4bfc81c0bb6786972673"
TOLD = "tedge-cert-renewer@c8y.service: Failed at step EXEC spawning /usr/bin/tedge-cert-needs-renewal: No such file"


def condition(status: str, start: str = "[Tue 2026-11-24 18:41:07 UTC]") -> str:
    """The property of a condition that ended so."""
    program = "/usr/bin/tedge-cert-needs-renewal"
    return (
        f"{{ path={program} ; argv[]={program} --systemd c8y ; ignore_errors=no ; start_time={start} ; "
        f"stop_time={start} ; pid=90 ; code=exited ; status={status} }}"
    )


def entry(message_id: str, invocation: str, message: str = "") -> str:
    return json.dumps({"MESSAGE_ID": message_id, "INVOCATION_ID": invocation, "MESSAGE": message})


def test_only_entries_that_no_other_user_can_log_are_selected() -> None:
    selected = "\n".join(matches("a.service")).split("\n+\n")
    groups = [set(each.splitlines()) for each in selected]
    assert all({"UNIT=a.service"} < group for group in groups)
    # The end of a run comes from the manager; what root says is root's; a user cannot move into the unit's cgroup.
    assert [{each for each in group if each.startswith("_")} for group in groups] == [
        {"_PID=1", "_UID=0"},
        {"_UID=0"},
        {"_SYSTEMD_UNIT=a.service"},
    ]


def test_what_is_in_order_is_read_as_such() -> None:
    found = facts_of(TIMER, {**SERVICE, "ExecCondition": condition("1")}, entry(SKIPPED, "a"))
    assert found.is_installed
    assert found.is_enabled
    assert found.is_active
    assert found.is_confined
    assert not found.has_failed
    assert found.next_run_s == 1_795_546_980
    assert found.not_started == ""
    assert found.environment == {"RENEW_WITH_CA": "c8y", "RENEWAL_SPREAD": "1d"}


@pytest.mark.parametrize("status", ["203/EXEC", "203", "217", "226/NAMESPACE", "238"])
def test_a_run_that_could_not_begin_is_seen_without_the_journal(status: str) -> None:
    found = facts_of(TIMER, {**SERVICE, "ExecCondition": condition(status)}, "")
    assert "/usr/bin/tedge-cert-needs-renewal could not be started" in found.not_started
    assert status.partition("/")[0] in found.not_started


def test_the_journal_tells_it_better_and_when_systemd_has_forgotten() -> None:
    entries = "\n".join([entry(SKIPPED, "a"), entry(NOT_STARTED, "b", TOLD), entry(SKIPPED, "b")])
    for property_ in (condition("203"), condition("0/SUCCESS", "[n/a]"), ""):
        assert facts_of(TIMER, {**SERVICE, "ExecCondition": property_}, entries).not_started == TOLD


def test_a_run_that_began_since_makes_it_good() -> None:
    entries = "\n".join([entry(NOT_STARTED, "b", TOLD), entry(SKIPPED, "b"), entry(SKIPPED, "c")])
    assert facts_of(TIMER, SERVICE, entries).not_started == ""
    # The entries of the very last run need not be in the journal yet.
    old = "\n".join([entry(NOT_STARTED, "b", TOLD), entry(SKIPPED, "b")])
    assert facts_of(TIMER, {**SERVICE, "ExecCondition": condition("1")}, old).not_started == ""


@pytest.mark.parametrize("status", ["0/SUCCESS", "1", "255"])
def test_an_answer_of_the_program_is_its_own(status: str) -> None:
    assert facts_of(TIMER, {**SERVICE, "ExecCondition": condition(status)}, "").not_started == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"User": ""},
        {"User": "root"},
        {"ProtectSystem": "no"},
        {"NoNewPrivileges": "no"},
        {"CapabilityBoundingSet": "cap_chown"},
    ],
)
def test_a_drop_in_that_takes_the_confinement_away_is_seen(changed: dict[str, str]) -> None:
    assert not facts_of(TIMER, {**SERVICE, **changed}, "").is_confined


def test_units_that_are_not_there_are_seen() -> None:
    missing = {"Id": "tedge-cert-renewer@c8y.timer", "LoadState": "not-found", "ActiveState": "inactive"}
    found = facts_of(missing, {}, "")
    assert (found.is_installed, found.is_enabled, found.is_active) == (False, False, False)


@pytest.mark.parametrize(
    ("shown", "container", "expected"),
    [
        ("CanNTP=yes\nNTP=no\nNTPSynchronized=no\n", False, (False, "off")),
        ("CanNTP=yes\nNTP=yes\nNTPSynchronized=yes\n", False, (True, "on")),
        ("CanNTP=no\nNTP=no\nNTPSynchronized=no\n", False, (False, "missing")),
        ("CanNTP=no\nNTP=no\nNTPSynchronized=yes\n", True, (True, "container")),
        ("", False, (None, "")),
    ],
)
def test_what_keeps_the_clock(shown: str, container: bool, expected: tuple[bool | None, str]) -> None:
    assert clock_of(shown, container) == expected
