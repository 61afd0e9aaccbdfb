# SPDX-License-Identifier: Apache-2.0
"""The state between runs: written whole, checked when it is read, never a reason to fail."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tedge_cert.config import settings as config
from tedge_cert.device import registration_record, state
from tedge_cert.device.instance import load_instance
from tedge_cert.device.state import PastRenewal, State

FULL = State(
    result="no-answer",
    step="renew",
    reason="no answer from tenant.test: time-out",
    at_s=1_800_000_000,
    attempts=3,
    next_attempt_s=1_800_007_200,
    settings="0123abcd",
    succeeded_s=1_790_000_000,
    serial="1f",
    not_before_s=1_770_000_000,
    not_after_s=1_801_000_000,
    key_fits=True,
    looked_at_s=1_800_000_000,
    guarded=1_801_000_000,
    disconnected_s=1_800_000_100,
    renewals=(PastRenewal(1_800_000_000, "no-answer", "time-out", "1f"), PastRenewal(1_790_000_000, "renewed")),
)


@pytest.mark.parametrize("kept", [State(), FULL, State(key_fits=False)])
def test_comes_back_as_it_was(tmp_path: Path, kept: State) -> None:
    path = tmp_path / "made" / "c8y.json"
    state.save(path, kept)
    assert state.load(path) == kept
    assert path.stat().st_mode & 0o777 == 0o644
    assert json.loads(path.read_text())["version"] == 1
    assert [each.name for each in path.parent.iterdir()] == ["c8y.json"]


def test_missing_is_empty_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert state.load(tmp_path / "c8y.json") == State()
    assert capsys.readouterr().err == ""


def test_what_is_not_known_here_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "c8y.json").write_text('{"version": 7, "attempts": 2, "colour": "red"}')
    assert state.load(tmp_path / "c8y.json") == State(attempts=2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"[]",
        b"3",
        b"\xff\xfe",
        b"[" * 10_000,
        b'{"attempts": "3"}',
        b'{"attempts": true}',
        b'{"attempts": -1}',
        b'{"attempts": 1.5}',
        b'{"attempts": NaN}',
        b'{"next_attempt_s": 9007199254740993}',
        b'{"next_attempt_s": 1' + b"0" * 5_000 + b"}",
        b'{"reason": 5}',
        b'{"key_fits": 1}',
        b'{"result": null}',
        b'{"result": "x"}' + b" " * 70_000,
        b'{"renewals": {}}',
        b'{"renewals": [5]}',
        b'{"renewals": [{"result": "renewed"}]}',
        b'{"renewals": [{"at_s": 1, "result": "renewed", "serial": 5}]}',
    ],
)
def test_garbage_is_empty_with_a_warning(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c8y.json"
    path.write_bytes(content)
    assert state.load(path) == State()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"warning: {path} cannot be read: ")
    assert said.endswith(" and counts as empty; the next result replaces it\n")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_nothing_in_it_is_a_fault(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    path.write_bytes(content)
    assert isinstance(state.load(path), State)


def test_a_bounded_number_of_renewals_fits_whatever_was_said(tmp_path: Path) -> None:
    kept: tuple[PastRenewal, ...] = ()
    for at_s in range(12):
        kept = state.with_renewal(kept, PastRenewal(at_s, "request-refused", "\U0001f600" * 1_000, "f" * 40))
    state.save(tmp_path / "c8y.json", State(reason="\U0001f600" * 1_000, renewals=kept))
    assert [each.at_s for each in state.load(tmp_path / "c8y.json").renewals] == list(range(11, 1, -1))


def test_a_pipe_or_a_link_is_not_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    state.save(tmp_path / "other.json", FULL)
    (tmp_path / "link").symlink_to(tmp_path / "other.json")
    assert state.load(tmp_path / "pipe") == state.load(tmp_path / "link") == State()


def test_a_full_disk_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    state.save(Path("/dev/full/c8y.json"), FULL)
    assert "warning: the result of this run is not kept: " in capsys.readouterr().err


def test_what_killed_runs_left_goes_with_the_next_result(tmp_path: Path) -> None:
    (tmp_path / ".c8y.json.0123abcd.tmp").write_text("half")
    state.save(tmp_path / "c8y.json", FULL)
    assert [each.name for each in tmp_path.iterdir()] == ["c8y.json"]


def test_where_it_is(tmp_path: Path) -> None:
    system = load_instance("c8y", "p", "/etc/tedge", known=False)
    assert system.state_file == Path("/var/lib/tedge-cert-renewer/c8y@p.json")
    assert load_instance("c8y", "", str(tmp_path)).state_file == tmp_path / "state" / "c8y.json"


def test_the_mark_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It changes with what is configured, and with nothing else."""
    settings = tmp_path / "tedge.toml"

    def mark(profile: str = "") -> str:
        return config.fingerprint(config.load(str(tmp_path), profile))

    settings.write_text('[c8y]\nurl = "a.example"\n')
    before = mark()
    settings.write_text('# a comment\n[c8y]\nurl   = "a.example"\n')
    assert mark() == before
    settings.write_text('[c8y]\nurl = "b.example"\n')
    assert mark() != before
    changed = mark()
    assert mark("p") != changed
    monkeypatch.setenv("TEDGE_C8Y_URL", "c.example")
    assert mark() != changed


@pytest.mark.parametrize("content", ["[" * 4000, "[]", "{", ""])
def test_attempts_that_are_none_are_read_as_no_attempts(tmp_path: Path, content: str) -> None:
    (tmp_path / "tedge.toml").write_text(f'[run]\npath = "{tmp_path}"\n')
    instance = load_instance("c8y", directory=str(tmp_path))
    instance.run_directory.mkdir()
    (instance.run_directory / "c8y.attempts").write_text(content)
    assert registration_record.attempts(instance) == registration_record.Attempts()
