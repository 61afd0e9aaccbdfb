# SPDX-License-Identifier: Apache-2.0
"""What becomes of arguments and exceptions."""

import os
import re
import signal
import subprocess
import sys
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert import errors, journal, systemd
from tedge_cert.cli import entry, executables
from tedge_cert.cli.arguments import Parser
from tedge_cert.disk import privileges
from tedge_cert.errors import TedgeCertError
from unit.children import BIN, environment_for, run
from unit.local_device import Result

RAISING = """\
import sys
from tedge_cert import errors; from tedge_cert.cli import entry
def main():
    {body}
entry.run(main)
"""
EXECUTABLES = sorted(each.name for each in BIN.iterdir() if each.name.startswith("tedge-"))


def end(body: str, *words: str, **environment: str) -> "tuple[int, str]":
    result = run(list(words), text=RAISING.format(body=body), variables=environment)
    return result.exit, result.stderr


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("return None", 0, ""),
        ("return 0", 0, ""),
        ("return 7", 7, ""),
        ("raise errors.TedgeCertError('no')", 1, "error: no\n"),
        ("raise errors.ConfigurationError('no\\nmore')", 1, "error: no more\n"),
        ("raise errors.UnknownKeyError('no')", 2, "error: no\n"),
        ("raise errors.CandidateRejectedError('no')", 3, "error: no\n"),
        ("raise KeyboardInterrupt", 130, "error: interrupted\n"),
        (
            "raise PermissionError(13, 'Permission denied', '/etc/tedge/x')",
            1,
            "error: cannot get at /etc/tedge/x: Permission denied; `sudo tedge reconnect c8y` gives owners and modes "
            "back\n",
        ),
    ],
)
def test_codes_and_lines_of_errors(body: str, code: int, said: str) -> None:
    assert end(body) == (code, said)


def test_an_unforeseen_error_is_a_traceback() -> None:
    code, said = end("raise ZeroDivisionError('no')")
    assert code == 1
    assert said.startswith("Traceback")
    assert said.endswith("ZeroDivisionError: no\n")


def test_debug_shows_where_an_error_came_from() -> None:
    code, said = end("raise errors.CandidateRejectedError('no')", "--debug")
    assert code == 3
    assert "Traceback" in said
    assert said.endswith("error: no\n")


@pytest.mark.parametrize("amount", ["1", "1 << 20"])
def test_a_reader_that_has_gone_is_no_traceback(amount: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = RAISING.format(body=f"sys.stdout.write('x' * ({amount}))")
    with os.fdopen(writer, "wb") as gone:
        ended = subprocess.run(
            [sys.executable, "-c", program], env=environment_for(None), stdout=gone, stderr=subprocess.PIPE, check=False
        )
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_an_interrupted_command_says_so() -> None:
    program = RAISING.format(body="print('up', flush=True); sys.stdin.read()")
    # What a shell starts in the background ignores the signal, and so would its children.
    program = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{program}"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], env=environment_for(None), **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert (process.returncode, said) == (130, b"error: interrupted\n")


@pytest.mark.parametrize(
    ("words", "environment", "level"),
    [
        ([], "", journal.INFO),
        (["--debug"], "", journal.DEBUG),
        (["--log-level", "error"], "", journal.ERROR),
        ([], "debug", journal.DEBUG),
        (["--log-level", "warn"], "debug", journal.WARNING),
    ],
)
def test_options_and_drop_ins_set_the_level(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], words: list[str], environment: str, level: int
) -> None:
    monkeypatch.setenv("SYSTEMD_LOG_LEVEL", environment)
    Parser("test", None).read(words)
    for each in range(journal.ERROR, journal.DEBUG + 1):
        journal.line(each, "x")
    assert capfd.readouterr().err.count("\n") == level - journal.ERROR + 1
    journal.set_threshold(journal.INFO)


def test_a_word_of_the_command_line_is_not_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        Parser("test", None).read(["--deb"])
    assert ended.value.code == errors.USAGE
    assert "unrecognized arguments: --deb" in capsys.readouterr().err


@pytest.mark.parametrize("config_dir", ["", "{etc}", "{etc}/", "{elsewhere}", "{elsewhere}/../elsewhere"])
def test_a_link_to_the_configuration_is_that_of_the_system(
    tmp_path: Path, mocker: MockerFixture, config_dir: str
) -> None:
    """In an image that keeps /etc/tedge elsewhere too, root's commands become tedge."""
    etc, elsewhere = tmp_path / "etc", tmp_path / "elsewhere"
    elsewhere.mkdir()
    etc.symlink_to(elsewhere)
    mocker.patch("tedge_cert.config.settings.SYSTEM_DIRECTORY", str(etc))
    mocker.patch("tedge_cert.beside.DIRECTORY", str(etc))
    mocker.patch.dict(os.environ)
    os.environ.pop("TEDGE_CONFIG_DIR", None)
    drop = mocker.patch("tedge_cert.disk.privileges.drop")
    entry.act_as_tedge(Namespace(config_dir=config_dir.format(etc=etc, elsewhere=elsewhere)))
    assert drop.called
    drop.reset_mock()
    entry.act_as_tedge(Namespace(config_dir=str(tmp_path)))
    assert not drop.called


@pytest.mark.parametrize("pem", ["", "root::0:0::/:/bin/sh\n", "-----BEGIN CERTIFICATE-----\n"])
def test_root_writes_nothing_but_a_request(tmp_path: Path, pem: str) -> None:
    with pytest.raises(ValueError, match="expected a certificate signing request"):
        entry._write_request(tmp_path / "x.csr", pem)
    assert not (tmp_path / "x.csr").exists()


def test_names_the_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tedge.toml").write_text("[c8y.profiles.p]\n")
    monkeypatch.setenv("TEDGE_CLOUD_PROFILE", "p")
    made = Parser("test", None)
    entry.add_cloud(made)
    directory = ["--config-dir", str(tmp_path)]
    assert entry.instance_of(made.read([*directory, "c8y"])).name == "c8y@p"
    with pytest.raises(SystemExit):
        made.read([*directory, "c8y", "--profile", ""])
    assert entry.instance_of(made.read(directory)).name == "c8y"
    unknown = made.read([*directory, "c8y", "--profile", "q"])
    with pytest.raises(TedgeCertError, match="no profile 'q'"):
        entry.instance_of(unknown)


@pytest.mark.parametrize("name", EXECUTABLES)
def test_every_command_explains_itself(tmp_path: Path, name: str) -> None:
    result = run([name, "--help"], tmp_path)
    assert (result.exit, result.stderr) == (0, "")
    family = "cert " if name.startswith("tedge-cert-") else ""
    assert result.stdout.startswith(f"usage: tedge {family}{name.removeprefix('tedge-').removeprefix('cert-')} [-h]")
    assert all(option in result.stdout for option in ("--config-dir", "--debug", "--log-level"))


@pytest.mark.parametrize("name", EXECUTABLES)
def test_every_command_refuses_what_it_does_not_know(tmp_path: Path, name: str) -> None:
    result = run([name, "--bogus"], tmp_path)
    assert (result.exit, result.stdout) == (2, "")
    assert re.fullmatch(r"error: [^\n]+ --help`\n", result.stderr)


ROOT = sorted(name for name, made in executables.all_parsers(BIN).items() if made.needs_root)
# The same for a user without rights: what the person typed, and nothing else.
WITHOUT_RIGHTS = """\
import os, runpy, sys
os.geteuid = lambda: 4242
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    "name", [*ROOT, "tedge config set c8y.url", "tedge config unset", "tedge hsm create-key --tpm"]
)
def test_every_command_that_needs_rights_says_so_first(name: str) -> None:
    family = " ".join(name.split()[:2] if name.startswith(("tedge config", "tedge hsm")) else name.split())
    rest = [*name.split()[len(family.split()) :], "c8y"] if name != "tedge init" else []
    result = run([str(BIN / family.replace(" ", "-")), *rest], text=WITHOUT_RIGHTS)
    assert result == Result(1, "", f"error: this needs root: sudo {name}{' c8y' * (name != 'tedge init')}\n")


@pytest.mark.parametrize(
    ("words", "readable", "refused"),
    [
        ("--output-path mine.csr", True, False),
        ("--output-path mine.csr", False, True),
        ("", True, True),
    ],
)
def test_a_request_for_a_file_of_the_callers_needs_only_the_key(
    tmp_path: Path, mocker: MockerFixture, words: str, readable: bool, refused: bool
) -> None:
    key = tmp_path / "key.pem"
    if readable:
        key.touch()
    (tmp_path / "tedge.toml").write_text(f'[device]\nkey_path = "{key}"\n')
    mocker.patch.object(entry, "is_of_system", return_value=True)
    mocker.patch.object(os, "geteuid", return_value=4242)
    made = executables.all_parsers(BIN)["tedge cert create-csr"]
    arguments = made.read([*words.split(), "--config-dir", str(tmp_path)])
    with pytest.raises(TedgeCertError, match="this needs root") if refused else nullcontext():
        entry.need_root(arguments)


def test_what_is_typed_with_sudo_is_what_was_typed_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["tedge", "cert", "download", "c8y", "--device-id", "a b", "-p", "secret", "--one-time-password=secret"]
    said = "sudo tedge cert download c8y --device-id 'a b' -p PASSWORD --one-time-password=PASSWORD"
    assert entry.with_sudo(words) == said
    assert entry.with_sudo(["tedge", "cert", "download", "-psecret"]) == "sudo tedge cert download -pPASSWORD"
    assert entry.with_sudo(["tedge", "cert", "show", "--pinx=1"]) == "sudo tedge cert show --pinx=1"
    monkeypatch.setenv("TEDGE_CLOUD_PROFILE", "p")
    assert entry.with_sudo(["tedge", "reconnect", "c8y"]) == "sudo env TEDGE_CLOUD_PROFILE=p tedge reconnect c8y"


@pytest.mark.parametrize(
    ("words", "variable", "unit"),
    [
        (["c8y"], "", "tedge-cert-renewer@c8y.service"),
        ([], "p", "tedge-cert-renewer@c8y.service"),
        (["c8y"], "p", "tedge-cert-renewer-c8y@p.service"),
        (["c8y", "--profile", "Plant"], "", "tedge-cert-renewer-c8y@plant.service"),
    ],
    ids=["no profile", "a profile without a cloud names nothing", "of the environment", "in capitals"],
)
def test_root_resets_the_unit_of_the_instance(
    monkeypatch: pytest.MonkeyPatch, mocker: MockerFixture, words: list[str], variable: str, unit: str
) -> None:
    monkeypatch.setenv("TEDGE_CLOUD_PROFILE", variable)
    arguments = executables.parser_of(BIN / "tedge-cert-verify").parse_args(words)
    mocker.patch.object(entry, "need_root")
    mocker.patch.object(entry, "is_of_system", return_value=True)
    mocker.patch.object(privileges, "split", return_value=0)
    mocker.patch.object(systemd, "is_running", return_value=True)
    reset = mocker.patch.object(systemd, "reset_failed")
    mocker.patch.object(os, "_exit", side_effect=SystemExit)
    with pytest.raises(SystemExit):
        entry.act_as_tedge(arguments, cures=True)
    reset.assert_called_once_with(unit)


# Those that read no configuration (the last one without a credential of root), and the one that shows its faults.
OTHERS = ("tedge-config", "tedge-completions", "tedge-init", "tedge-cert-status", "tedge-cert-finish-download")
WITH_CLOUD = [each for each in EXECUTABLES if each not in OTHERS]


@pytest.mark.parametrize("name", WITH_CLOUD)
def test_every_command_names_a_broken_configuration(tmp_path: Path, name: str) -> None:
    (tmp_path / "tedge.toml").write_text("c8y = [")
    words = {"tedge-http": ["get", "/c8y/x"], "tedge-hsm": ["create-key", "--tpm"]}.get(name, ["c8y"])
    result = run([name, *words], tmp_path)
    assert (result.exit, result.stdout) == (1, "")
    assert f"error: {tmp_path}/tedge.toml is not valid TOML" in result.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["tedge.toml"]
