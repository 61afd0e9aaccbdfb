# SPDX-License-Identifier: Apache-2.0
"""Users and directories of the package, made without systemd."""

import os
import stat
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.commands import init
from tedge_cert.errors import TedgeCertError
from unit.children import run
from unit.local_device import ROOT

SYSUSERS = ROOT / "debian/tedge-cert-renewer-common.sysusers"
TMPFILES = [ROOT / f"debian/tedge-cert-renewer{each}.tmpfiles" for each in ("", "-common")]


@pytest.fixture
def made(mocker: MockerFixture) -> list[str]:
    """Pretend to be root on a system without accounts; return the accounts that are made."""
    asked: list[str] = []
    mocker.patch("os.geteuid", return_value=0)
    mocker.patch("tedge_cert.commands.init._exists", side_effect=lambda _, name: name in asked)
    mocker.patch("tedge_cert.commands.init._run", side_effect=lambda *command: asked.append(command[-1]))
    return asked


def places(tmp_path: Path) -> list[Path]:
    """The packages' own directories, all below one of the test."""
    made = []
    for each in TMPFILES:
        made.append(tmp_path / f"{each.name}.conf")
        text = each.read_text()
        for top in ("/run/", "/var/", "/etc/credstore"):
            text = text.replace(f" {top}", f" {tmp_path}{top}")
        made[-1].write_text(text)
    return made


def test_accounts_and_directories_are_those_of_the_package(tmp_path: Path, made: list[str]) -> None:
    before = os.umask(0o077)
    try:
        for _ in range(2):
            init.initialise(f"{tmp_path}/etc", SYSUSERS, places(tmp_path))
    finally:
        os.umask(before)
    shut = [each.name for each in tmp_path.rglob("*") if each.is_dir() and each.stat().st_mode & 0o055 != 0o055]
    assert sorted(shut) == ["credstore", "tedge-first-boot"]
    assert made == ["tedge", "mosquitto"]
    found = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*") if each.is_dir())
    assert found == [
        *("etc", "etc/credstore", "etc/device-certs", "etc/mosquitto-conf", "run", "run/tedge-cert-renewer"),
        *("var", "var/lib", "var/lib/tedge-cert-renewer", "var/lib/tedge-first-boot"),
    ]


def test_the_environment_names_the_directory_too(
    tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEDGE_CONFIG_DIR", f"{tmp_path}/here/")
    init.initialise("", SYSUSERS, places(tmp_path))
    assert (tmp_path / "here/device-certs").is_dir()


@pytest.mark.parametrize("words", [["--user", "other"], ["--group=other"], ["--user", "tedge", "--group", ""]])
def test_other_owners_are_refused(words: list[str], tmp_path: Path) -> None:
    result = run(["tedge-init", *words], tmp_path / "none")
    assert (result.exit, result.stdout) == (1, "")
    assert "the files can only belong to 'tedge'" in result.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("present", [True, False])
def test_users_and_services_of_choice_are_told_to_have_no_effect(
    tmp_path: Path, made: list[str], capsys: pytest.CaptureFixture[str], present: bool
) -> None:
    (tmp_path / "etc").mkdir()
    if present:
        (tmp_path / "etc/system.toml").write_text('user = "other"\n')
    init.initialise(f"{tmp_path}/etc", SYSUSERS, places(tmp_path))
    assert (f"{tmp_path}/etc/system.toml has no effect" in capsys.readouterr().err) is present
    assert made == ["tedge", "mosquitto"]


def test_a_wrong_mode_is_put_right(tmp_path: Path, made: list[str]) -> None:
    (tmp_path / "etc/device-certs").mkdir(parents=True, mode=0o700)
    init.initialise(f"{tmp_path}/etc", SYSUSERS, places(tmp_path))
    assert stat.S_IMODE((tmp_path / "etc/device-certs").stat().st_mode) == 0o755


def test_a_file_in_the_way_is_named(tmp_path: Path, made: list[str]) -> None:
    (tmp_path / "etc").write_text("")
    with pytest.raises(TedgeCertError, match=f"cannot create the directory {tmp_path}/etc: File exists"):
        init.initialise(f"{tmp_path}/etc", SYSUSERS, places(tmp_path))


def test_others_than_root_are_told(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch("os.geteuid", return_value=1000)
    with pytest.raises(TedgeCertError, match="sudo tedge init"):
        init.initialise(str(tmp_path), SYSUSERS, TMPFILES)
    assert not list(tmp_path.iterdir())


def test_a_package_that_is_not_whole_is_named(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch("os.geteuid", return_value=0)
    with pytest.raises(TedgeCertError, match=r"none\.conf: No such file"):
        init.initialise(str(tmp_path), tmp_path / "none.conf", TMPFILES)
