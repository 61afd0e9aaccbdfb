# SPDX-License-Identifier: Apache-2.0
"""An expired certificate under a clock that nothing synchronises: the clock is looked at first."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert import systemd
from tedge_cert.errors import ExpiredError, TedgeCertError
from tedge_cert.steps.switch import Switch
from tedge_cert.x509 import certificate, clock
from unit.certificates import make_for
from unit.steps.test_due import ask
from unit.steps.test_needs_renewal import device


def in_the_hour(directory: Path, path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    ask(directory)
    return capsys.readouterr().err


def before_a_request(_: Path, path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(ExpiredError) as raised:
        clock.check_presentable(certificate.load(path), path)
    return str(raised.value)


def at_the_way_back(_: Path, path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    return str(
        Switch(path, path, path, path.with_name("key.pem"), path.with_name("k"), path.with_name("k")).flaw_of_previous()
    )


@pytest.mark.parametrize("said_by", [in_the_hour, before_a_request, at_the_way_back])
@pytest.mark.parametrize("shown", ["NTPSynchronized=no\n", "NTPSynchronized=yes\n", "", None])
def test_the_clock_comes_before_a_registration(
    tmp_path: Path,
    mocker: MockerFixture,
    capsys: pytest.CaptureFixture[str],
    said_by: Callable[[Path, Path, pytest.CaptureFixture[str]], str],
    shown: str | None,
) -> None:
    made = make_for(-1)
    path = device(tmp_path, made)
    path.with_name("key.pem").write_bytes(made.key_pem)
    answer = TedgeCertError("not installed") if shown is None else [subprocess.CompletedProcess([], 0, shown, "")]
    mocker.patch("tedge_cert.systemd.is_running", return_value=True)
    run = mocker.patch("tedge_cert.systemd.run", side_effect=answer)
    said = said_by(tmp_path, path, capsys)
    first = said.find("the clock is not synchronised: if it is wrong, set it")
    command = said.find("tedge cert download")
    assert (0 < first < command) if shown == "NTPSynchronized=no\n" else (first == -1 and command > 0), said
    run.assert_called_once()


def test_nothing_is_asked_where_no_systemd_runs(mocker: MockerFixture) -> None:
    mocker.patch("tedge_cert.systemd.is_running", return_value=False)
    run = mocker.patch("tedge_cert.systemd.run")
    assert systemd.is_clock_synchronised() is None
    run.assert_not_called()
