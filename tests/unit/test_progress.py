# SPDX-License-Identifier: Apache-2.0
"""The line of a step, on a terminal and elsewhere."""

import os
import pty

import pytest

from tedge_cert.progress import Step


@pytest.mark.parametrize(("error", "mark"), [(None, "✓"), (ValueError("no"), "✗"), (KeyboardInterrupt(), "✗")])
def test_elsewhere_the_line_is_whole(capfd: pytest.CaptureFixture[str], error: BaseException | None, mark: str) -> None:
    said = []
    try:
        with Step("Waiting"):
            said.append(capfd.readouterr().err)
            if error is not None:
                raise error
    except (ValueError, KeyboardInterrupt) as raised:
        assert raised is error  # noqa: PT017 (some of the steps end well)
    assert said == [""]
    assert capfd.readouterr().err == f"Waiting... {mark}\n"


def test_on_a_terminal_the_line_begins_before_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", buffering=1, encoding="utf-8") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        with Step("Waiting"):
            assert os.read(ours, 100) == b"Waiting... "
        assert os.read(ours, 100).decode() == "✓\r\n"
    os.close(ours)
