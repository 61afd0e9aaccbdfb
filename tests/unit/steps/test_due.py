# SPDX-License-Identifier: Apache-2.0
"""The condition for a certificate that is due: spread, guard, clock, back-off, and the state afterwards."""

import time
from pathlib import Path

import pytest

from tedge_cert.config import settings as config
from tedge_cert.device import state
from tedge_cert.device.instance import load_instance
from tedge_cert.device.state import State
from tedge_cert.hourly import schedule
from tedge_cert.hourly.validity import read_validity
from tedge_cert.steps import needs_renewal
from tedge_cert.steps.due import is_due as due_again
from unit.certificates import Made, make_for
from unit.steps.test_needs_renewal import device

RENEW, SKIP, BROKEN = 0, 1, 255
NAME = "device-1"


def ask(directory: Path, *words: str) -> int:
    question = needs_renewal.parse(["--systemd", "c8y", "--config-dir", str(directory), *words])
    assert question is not None
    return needs_renewal.full_check(question)


def prepared(directory: Path, made: Made, settings: str = "", **kept: object) -> Path:
    """A device whose last run left a state; its run directory is its own."""
    path = device(directory, made, f'{settings}\n[run]\npath = "{directory}/run"')
    (directory / "run").mkdir()
    mark = config.fingerprint(config.load(str(directory)))
    facts = {"settings": mark, "result": "no-answer", "reason": "no server there", "attempts": 3, **kept}
    state.save(state_file(directory), State(**facts))  # type: ignore[arg-type]
    return path


def state_file(directory: Path) -> Path:
    return load_instance("c8y", "", str(directory)).state_file


@pytest.mark.parametrize(
    ("left_days", "spread", "code"),
    [(34, "20%", SKIP), (33, "20%", RENEW), (33, "", SKIP), (33, "0", SKIP), (33, "6d", RENEW), (33, "0%", SKIP)],
)
def test_the_spread_makes_it_earlier(
    tmp_path: Path, left_days: int, spread: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slot of device-1 is 0.6, so it takes three and a half of six days of spread."""
    device(tmp_path, make_for(left_days))
    monkeypatch.setenv("RENEWAL_SPREAD", spread)
    assert ask(tmp_path) == code


def test_the_line_says_what_the_spread_makes_of_the_threshold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    device(tmp_path, make_for(100))
    monkeypatch.setenv("RENEWAL_SPREAD", "20%")
    assert ask(tmp_path) == SKIP
    assert "is valid for 100d, renewing below 33d 14h (30d, and 3d 14h of the spread): nothing to do" in " ".join(
        capsys.readouterr().err.replace("100d 59m", "100d").split()
    )


@pytest.mark.parametrize(
    ("spread", "said"),
    [("", "renewing below 20d, 20% of its life: nothing"), ("10%", "(20d, 20% of its life, and 1d 4h of the spread)")],
)
def test_a_threshold_can_be_a_part_of_the_lifetime(
    tmp_path: Path, spread: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = device(tmp_path, make_for(40, -60), '[certificate.validity]\nminimum_duration = "20%"')
    monkeypatch.setenv("RENEWAL_SPREAD", spread)
    assert ask(tmp_path) == SKIP
    assert said in capsys.readouterr().err
    path.write_bytes(make_for(19, -81).pem)
    assert ask(tmp_path) == RENEW
    instance = load_instance("c8y", "", str(tmp_path))
    assert due_again(instance, read_validity(str(path)), time.time())


def test_a_spread_that_is_none_is_a_broken_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = device(tmp_path, make_for(100))
    path.with_name("cert.pem.previous").write_text("x")
    monkeypatch.setenv("RENEWAL_SPREAD", "much")
    assert ask(tmp_path) == BROKEN
    assert "the environment variable RENEWAL_SPREAD: 'much'" in capsys.readouterr().err


def test_the_command_line_knows_no_spread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device(tmp_path, make_for(33))
    monkeypatch.setenv("RENEWAL_SPREAD", "much")
    question = needs_renewal.parse(["c8y", "--config-dir", str(tmp_path)])
    assert question is not None
    assert needs_renewal.full_check(question) == SKIP


@pytest.mark.parametrize(
    ("beside", "left_days", "ahead_s", "code", "said"),
    [
        ("", 3, 3_600, BROKEN, "is not asked before "),
        ("", 3, 0, RENEW, "renewing below 30d: renewing"),
        # Further ahead than a tenth of the remaining validity: ignored.
        ("", 3, 9 * 3_600, RENEW, "renewing below 30d: renewing"),
        ("", 100, 3_600, SKIP, "nothing to do"),
        # Only requests are held back, and an expired certificate is reported first.
        (".new", 3, 3_600, RENEW, "a candidate is there"),
        (".previous", 3, 3_600, RENEW, "is unfinished"),
        ("", -1, 3_600, BROKEN, "expired 23h"),
    ],
)
def test_what_is_held_back(
    tmp_path: Path,
    beside: str,
    left_days: int,
    ahead_s: int,
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = prepared(tmp_path, make_for(left_days), next_attempt_s=int(time.time()) + ahead_s)
    if beside:
        path.with_name(path.name + beside).write_text("x")
    before = state_file(tmp_path).read_text()
    assert ask(tmp_path) == code
    line = capsys.readouterr().err
    assert (said in line, line.count("\n")) == (True, 1)
    if "not asked" in said:
        assert "attempt 3 ended with no server there; `sudo tedge cert renew c8y` asks at once" in line
        assert state_file(tmp_path).read_text() == before


def test_other_settings_deserve_another_attempt(tmp_path: Path) -> None:
    prepared(tmp_path, make_for(3), next_attempt_s=int(time.time()) + 3_600)
    assert ask(tmp_path) == BROKEN
    settings = tmp_path / "tedge.toml"
    settings.write_text(settings.read_text() + '[c8y]\nurl = "other.example"\n')
    assert ask(tmp_path) == RENEW


@pytest.mark.parametrize("content", ["", "garbage", '{"next_attempt_s": "soon"}'])
def test_a_state_that_is_none_holds_nothing_back(tmp_path: Path, content: str) -> None:
    prepared(tmp_path, make_for(3))
    state_file(tmp_path).write_text(content)
    assert ask(tmp_path) == RENEW


@pytest.mark.parametrize(
    ("left_days", "is_ours", "code", "said"),
    [
        (80, True, SKIP, "renewing below 30d: nothing to do (a third of its life"),
        (80, False, RENEW, "renewing below 400d: renewing"),
        (29, True, RENEW, "renewing below 400d: renewing"),
        (-1, True, BROKEN, "one-time password"),
    ],
)
def test_the_guard_of_a_threshold_that_is_too_long(
    tmp_path: Path, left_days: int, is_ours: bool, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_for(left_days, left_days - 90)
    path = prepared(tmp_path, made, '[certificate.validity]\nminimum_duration = "400d"')
    end_s = read_validity(str(path)).not_after_s
    state.save(state_file(tmp_path), State(guarded=end_s if is_ours else end_s + 1))
    path.with_name("cert.pem.new").write_text("an administrator's own")
    if code != SKIP:
        path.with_name("cert.pem.new").unlink()
    assert ask(tmp_path) == code
    assert said in capsys.readouterr().err


def test_a_shorter_threshold_rules_a_guarded_certificate_again(tmp_path: Path) -> None:
    path = prepared(tmp_path, make_for(20, -70), '[certificate.validity]\nminimum_duration = "10d"')
    state.save(state_file(tmp_path), State(guarded=read_validity(str(path)).not_after_s))
    assert ask(tmp_path) == SKIP


def test_the_slot_behind_these_tests() -> None:
    assert 0.6 < schedule.slot(NAME) < 0.61
