# SPDX-License-Identifier: Apache-2.0
"""The condition on a broken device: a clock that cannot be right, and what is recorded about it."""

import json
import time
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.hourly.validity import BUILT_S
from unit.certificates import DAY_S, make_for
from unit.steps.test_due import BROKEN, SKIP, ask, prepared, state_file
from unit.steps.test_needs_renewal import device


@pytest.mark.parametrize(
    ("now_s", "said"),
    [
        (0, "behind the making of this package"),
        (BUILT_S - 1, "it is 1s behind the making of this package"),
        (BUILT_S, "the certificate begins in"),
    ],
)
def test_a_clock_that_cannot_be_right(
    tmp_path: Path, now_s: int, said: str, mocker: MockerFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    # It begins in two days, so it is not valid yet at both times.
    prepared(tmp_path, make_for(100, begin_days=2))
    mocker.patch.object(time, "time", return_value=float(now_s))
    assert ask(tmp_path) == BROKEN
    line = capsys.readouterr().err
    assert "the clock is wrong: " in line
    assert said in line


def test_a_broken_device_is_written_down_once_a_day(tmp_path: Path, mocker: MockerFixture) -> None:
    prepared(tmp_path, make_for(-1))

    def recorded(after_s: float) -> int:
        now_s = time.time() + after_s
        mocker.patch.object(time, "time", return_value=now_s)
        assert ask(tmp_path) == BROKEN
        mocker.stopall()
        kept = json.loads(state_file(tmp_path).read_text())
        assert (kept["result"], kept["step"], kept["attempts"]) == ("certificate-expired", "condition", 3)
        return int(kept["at_s"])

    first = recorded(0)
    assert recorded(3_600) == first
    assert recorded(DAY_S) > first


def test_a_state_that_cannot_be_written_changes_no_answer(tmp_path: Path) -> None:
    prepared(tmp_path, make_for(-1))
    state_file(tmp_path).unlink()
    state_file(tmp_path).parent.rmdir()
    state_file(tmp_path).parent.write_text("in the way")
    assert ask(tmp_path) == BROKEN


def test_nothing_is_written_while_nothing_is_due(tmp_path: Path) -> None:
    device(tmp_path, make_for(100))
    assert ask(tmp_path) == SKIP
    assert {each.name for each in tmp_path.iterdir()} == {"tedge.toml", "cert.pem"}
