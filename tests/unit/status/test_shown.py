# SPDX-License-Identifier: Apache-2.0
"""The three forms of the status: a screen, JSON by its schema, and the text that Prometheus reads."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tedge_cert.device.state import PastRenewal, State
from tedge_cert.status.document import document_of
from tedge_cert.status.facts import BridgeFacts, Check, Facts, KeyFacts
from tedge_cert.status.metrics import metrics_of
from tedge_cert.status.text import lines_of, screen_of, text_of
from tedge_cert.status.verdict import Problem, problems
from tedge_cert.times import local
from unit.certificates import DAY_S, NOW_S
from unit.local_device import ROOT
from unit.statuses import CERTIFICATE, FAILING, HIDDEN, UNHEALTHY, UNREAD, certificate, facts, units

SCHEMA = json.loads((ROOT / "share" / "status.schema.json").read_text())
Report = tuple[Facts, list[Problem]]


def judged(*found: Facts) -> list[Report]:
    return [(each, problems(each)) for each in found]


def screen(found: Facts) -> str:
    return text_of(found, problems(found))


def test_a_screen_holds_everything() -> None:
    text = screen(facts(candidate=certificate(path="/c.pem.new", serial="beef")))
    for said in (
        "device-1", "CN=device-1, O=Thin Edge", "CN=the tenant", "1234", "in 265d", "in 235d; threshold 30d",
        "belongs to the certificate", "serial beef", "renewed on ", "enabled, active, next run", "in 20m", "connected",
        "synchronised", "tenant.test (not asked", "active",
    ):  # fmt: skip
        assert said in text
    assert len(text.splitlines()) <= 24


def test_text_of_others_forges_no_line_and_no_colour() -> None:
    said = "no\n\x1b[2J\x1b[32m\u202eStatus:        healthy"
    text = screen(
        facts(
            device_id=said,
            certificate=certificate(subject=said, issuer=said, fault=""),
            state=State(
                result="step-failed",
                reason=said,
                attempts=1,
                at_s=NOW_S,
                renewals=(PastRenewal(1, said, said), PastRenewal(2, said, serial=said)),
            ),
            fault=said,
            checks=(Check("https", said, False, said, said),),
        )
    )
    assert [each for each in text if not each.isprintable() and each != "\n"] == []
    assert len([each for each in text.splitlines() if each.startswith("Status:")]) == 1
    assert "\nStatus:        healthy" not in text


@pytest.fixture(autouse=True)
def in_another_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A reader whose clock is an hour ahead of UTC."""
    monkeypatch.setenv("TZ", "UTC-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_times_are_those_of_the_reader() -> None:
    text = screen(facts())
    assert "Valid until:   2027-08-15 13:00:00 +0100 (in 265d)" in text
    assert "2026-" in text
    assert "GMT" not in text
    assert "+0000" not in text


def test_the_spread_stands_beside_the_threshold() -> None:
    assert "(in 235d; threshold 30d, spread 6d)" in screen(facts(spread_s=6 * DAY_S))


def test_what_cannot_be_known_is_not_called_none() -> None:
    text = screen(replace(UNREAD, fault="/etc/tedge/tedge.toml is not valid TOML", is_systemd_asked=True))
    rows = dict(line.split(":", 1) for line in text.splitlines()[3:])
    for label in ("Device id", "Certificate", "Last result", "Bridge", "Timer", "Clock", "Tenant"):
        assert rows[label].strip().startswith("not known"), label
    assert "none" not in text
    document = json.loads(document_of(judged(UNREAD)))["instances"][0]
    assert document["bridge"]["configured"] is None
    assert {"device_id", "certificate", "last", "bridge"} < set(document["not_known"])
    assert json.loads(document_of(judged(facts())))["instances"][0]["not_known"] == []


def test_a_state_that_cannot_be_read_is_not_known() -> None:
    found = facts(state=State(), state_fault="/var/lib/x.json cannot be read: Permission denied")
    assert "Last result:   not known: /var/lib/x.json cannot be read: Permission denied" in screen(found)
    hidden = screen(facts(certificate=HIDDEN, candidate=HIDDEN, is_other_user=True))
    assert "Certificate:   /c.pem (not known)" in hidden
    assert "Candidate:     not known" in hidden


def test_the_last_renewals_are_shown() -> None:
    past = tuple(PastRenewal(NOW_S - days * DAY_S, "renewed", serial=f"{days}a") for days in range(1, 6))
    found = facts(state=State(result="renewed", at_s=past[0].at_s, succeeded_s=past[0].at_s, renewals=past))
    lines = screen(found).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("Before that:"))
    assert lines[first] == "Before that:   renewed on 2026-11-21 13:00:00 +0100, serial 2a"
    assert lines[first + 1].strip() == "renewed on 2026-11-20 13:00:00 +0100, serial 3a"
    document = json.loads(document_of(judged(found)))["instances"][0]
    assert [each["serial"] for each in document["renewals"]] == ["1a", "2a", "3a", "4a", "5a"]


def test_a_line_for_each_profile() -> None:
    reports = judged(
        facts(),
        facts(name="c8y@second", certificate=certificate(not_after_s=NOW_S - DAY_S), bridge=BridgeFacts(True)),
        replace(UNREAD, fault="broken"),
    )
    assert lines_of(reports).splitlines() == [
        "c8y         healthy  265d left  bridge connected",
        "c8y@second  broken   expired    bridge not known",
        "c8y         broken   not known  bridge not known",
    ]


def test_a_problem_of_the_device_is_explained_once() -> None:
    """Not once for each of its five profiles."""
    text = screen_of(judged(*(facts(name=f"c8y@{each}", sudoers="/etc/sudoers.d/tedge") for each in range(5))))
    assert text.count("lets user tedge run programs as root") == text.count("=> sudo rm /etc/sudoers.d/tedge") == 1
    assert text.count("and what is explained above") == 4
    assert text.count("Status:        attention") == 5


def test_problems_stand_first_with_their_cures() -> None:
    lines = screen(facts(units=units(is_active=False))).splitlines()
    assert lines[0] == "c8y"
    assert "attention: the certificate is not renewed" in lines[1]
    assert lines[2].strip() == "=> sudo systemctl enable --now tedge-cert-renewer@c8y.timer"


def test_what_an_earlier_run_found_is_shown_with_its_time() -> None:
    text = screen(facts(key=KeyFacts("/k.pem", True, NOW_S - DAY_S)))
    assert "belongs to the certificate, as a run found on 2026-11-22 13:00:00 +0100" in text
    assert "not known: /k.pem is not for you to read" in screen(facts(key=KeyFacts("/k.pem")))


def test_a_key_that_waits_for_its_certificate_has_a_line() -> None:
    made = KeyFacts("/k.pem", True, written_s=NOW_S - 90 * DAY_S, candidate_s=NOW_S - DAY_S)
    assert f"New key:       made on {local(NOW_S - DAY_S)}, waits for its certificate" in screen(facts(key=made))
    key = json.loads(document_of(judged(facts(key=made))))["instances"][0]["key"]
    assert (key["written_s"], key["candidate_s"]) == (NOW_S - 90 * DAY_S, NOW_S - DAY_S)
    assert "New key" not in screen(facts())


def test_failed_attempts_and_the_next_one_are_shown() -> None:
    text = screen(UNHEALTHY["failing"])
    assert "failed 3 times: tenant.test answered 503" in text
    assert "request refused on 2026-11-23 12:59:00 +0100, see above" in text
    assert "3 failed" in text


def test_without_systemd_the_screen_says_how_the_steps_run() -> None:
    assert "cron" in screen(facts(units=None))


@pytest.mark.parametrize("name", ["healthy", *UNHEALTHY])
def test_json_is_as_the_schema_says(name: str) -> None:
    found = facts() if name == "healthy" else UNHEALTHY[name]
    jsonschema.validate(json.loads(document_of(judged(found, facts(units=None, profile="p")))), SCHEMA)


def test_the_schema_is_sound_and_refuses_what_is_not_so() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    document = json.loads(document_of(judged(facts())))
    for name, wrong in (("device_id", 5), ("health", "fine"), ("certificate", {"path": "/c.pem"}), ("version", 2)):
        broken = {**document, "instances": [{**document["instances"][0], name: wrong}]}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, SCHEMA)


def test_json_names_the_worst_of_all_instances() -> None:
    document = json.loads(document_of(judged(facts(), UNHEALTHY["expired"])))
    assert (document["version"], document["health"]) == (1, "broken")
    assert [each["health"] for each in document["instances"]] == ["healthy", "broken"]
    assert document["instances"][1]["problems"][0]["cure"] == "sudo tedge cert download c8y --device-id device-1"


def samples(text: str) -> dict[str, list[Any]]:
    return {family.name: list(family.samples) for family in text_string_to_metric_families(text)}


def test_prometheus_reads_every_instance() -> None:
    found = samples(metrics_of(judged(facts(), facts(profile="p", state=FAILING, due_s=NOW_S))))
    until = found["tedge_certificate_not_after_timestamp_seconds"]
    assert [each.value for each in until] == [CERTIFICATE.not_after_s] * 2
    assert until[1].labels == {"cloud": "c8y", "profile": "p", "device_id": "device-1"}
    assert [each.value for each in found["tedge_certificate_renewal_failed_attempts"]] == [0, 3]
    assert [each.value for each in found["tedge_certificate_state"]] == [0, 1]
    # The second instance never succeeded, so it has no such metric.
    assert len(found["tedge_certificate_renewal_last_success_timestamp_seconds"]) == 1


@given(st.text(min_size=1))
def test_no_name_breaks_the_format(name: str) -> None:
    found = samples(metrics_of(judged(facts(device_id=name))))
    assert all(sample.labels["device_id"] == name for each in found.values() for sample in each)


def test_a_broken_device_has_a_state_and_no_dates() -> None:
    found = samples(metrics_of(judged(UNHEALTHY["missing"])))
    assert [each.value for each in found["tedge_certificate_state"]] == [2]
    assert "tedge_certificate_not_after_timestamp_seconds" not in found


def test_a_failure_that_is_over_is_not_shown_as_one_that_lasts() -> None:
    over = State(result="certificate-unusable", reason="there is no such file", at_s=NOW_S - 60)
    assert "certificate unusable on 2026-11-23 12:59:00 +0100, which is over" in screen(facts(state=over))
    missing = facts(state=over, certificate=UNHEALTHY["missing"].certificate)
    assert "+0100: there is no such file" in screen(missing)
    assert "none yet (an hour with nothing to do leaves none)" in screen(facts(state=State()))


LONG = "timedatectl set-ntp true && systemctl restart " + " ".join(f"unit-{number}.service" for number in range(9))


def test_a_terminal_gets_lines_of_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    found, told = facts(units=units(is_active=False)), [Problem(1, "a problem " * 12, LONG)]
    plain = text_of(found, told).splitlines()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    lines = text_of(found, told).splitlines()
    assert max(map(len, plain)) > 60 >= max(map(len, lines))
    assert " ".join(" ".join(lines).split()) == " ".join(" ".join(plain).split())
    # A further line is indented to the value, the problem or the command.
    cure = next(number for number, line in enumerate(lines) if "=>" in line)
    assert (lines[2][:4], lines[2][4] != " ") == ("    ", True)
    assert (lines[cure + 1][:7], lines[cure + 1][7] != " ") == (" " * 7, True)
    due = next(number for number, line in enumerate(lines) if line.startswith("Renewal:"))
    assert (lines[due + 1][:15], lines[due + 1][15] != " ") == (" " * 15, True)


def test_a_long_word_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/etc/tedge/device-certs/" + "deep/" * 20 + "tedge-certificate.pem"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    assert path in screen(facts(certificate=certificate(path=path))).split()
