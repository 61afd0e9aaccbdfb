# SPDX-License-Identifier: Apache-2.0
"""`tedge WORDS…` finds its commands beside itself."""

import re
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tedge_cert.cli import dispatch
from tedge_cert.cli.arguments import Parser
from unit.children import BIN, run
from unit.local_device import Result

ECHO = '#!/bin/sh\nif false; then\n"""Say {name}."""\nfi\necho {name} "$@"\nexit {code}\n'


@pytest.fixture
def bin_directory(tmp_path: Path) -> Path:
    """Two families of commands beside a copy of `tedge`."""
    directory = tmp_path / "bin"
    directory.mkdir()
    shutil.copy(BIN / "tedge", directory)
    for code, name in enumerate(("tedge-cert", "tedge-cert-renew", "tedge-cert-needs-renewal", "tedge-config"), 10):
        (directory / name).write_text(ECHO.format(name=name, code=code))
        (directory / name).chmod(0o755)
    (directory / "tedge-cert-off").write_text(ECHO.format(name="off", code=0))
    (directory / "tedge-binary").write_bytes(b"\x7fELF\xff\xfe")
    (directory / "tedge-cut-off").write_text('#!/bin/sh\n"""')
    return directory


@pytest.fixture
def explained(
    bin_directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Return what `tedge` says within this process where it executes no command."""
    made: Callable[[], Parser] = runpy.run_path(str(BIN / "tedge"), run_name="tedge")["parser"]

    def explain(*words: str) -> Result:
        monkeypatch.setattr(sys, "argv", [str(bin_directory / "tedge"), *words])
        code = dispatch.run(list(words), made)
        said = capsys.readouterr()
        return Result(code, said.out, said.err)

    return explain


def tedge(directory: Path, *words: str) -> Result:
    program = "import runpy, sys; sys.argv[0] = sys.argv.pop(1); runpy.run_path(sys.argv[0], run_name='__main__')"
    return run([str(directory / "tedge"), *words], text=program, isolated=True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("cert renew c8y --ca c8y", 11, "tedge-cert-renew c8y --ca c8y"),
        ("cert-renew c8y", 11, "tedge-cert-renew c8y"),
        ("cert needs-renewal", 12, "tedge-cert-needs-renewal"),
        ("cert needs renewal", 12, "tedge-cert-needs-renewal"),
        ("cert bogus", 10, "tedge-cert bogus"),
        ("cert off", 10, "tedge-cert off"),
        ("config get cert renew", 13, "tedge-config get cert renew"),
        ("--debug config list", 13, "tedge-config --debug list"),
        ("--config-dir /x --log-level=info cert renew", 11, "tedge-cert-renew --config-dir /x --log-level=info"),
        ("cert --debug renew --log-level warn c8y --new", 11, "tedge-cert-renew --debug --log-level warn c8y --new"),
        ("cert renew --new --debug", 11, "tedge-cert-renew --new --debug"),
        ("--config-dir=/x config", 13, "tedge-config --config-dir=/x"),
        ("config -- cert", 13, "tedge-config -- cert"),
        ("--debug config --debug list", 13, "tedge-config --debug list"),
        ("--config-dir /x config list --config-dir=/y", 13, "tedge-config --config-dir=/y list"),
        ("--debug --debug config", 13, "tedge-config --debug --debug"),
    ],
)
def test_runs_the_longest_match_and_passes_its_code_on(bin_directory: Path, words: str, code: int, said: str) -> None:
    assert tedge(bin_directory, *words.split()) == Result(code, said + "\n", "")


def test_arguments_arrive_as_they_were(bin_directory: Path) -> None:
    (bin_directory / "tedge-count").write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
    (bin_directory / "tedge-count").chmod(0o755)
    assert tedge(bin_directory, "count", "", "a b", "*", "c\nd").stdout == "<><a b><*><c\nd>"


@pytest.mark.parametrize("words", [["../tedge-config"], ["cert/renew"], [""], ["bogus"], ["bogus", "cert"]])
def test_what_is_no_command_runs_nothing(explained: Callable[..., Result], words: list[str]) -> None:
    result = explained(*words)
    assert (result.exit, result.stdout) == (2, "")
    said = re.escape(f"error: there is no command 'tedge {' '.join(words)}'; ")
    assert re.fullmatch(rf"{said}(did you mean '[^\n]+'\? )?see `tedge --help`\n", result.stderr)


def test_lists_the_commands_with_a_line_each(explained: Callable[..., Result]) -> None:
    result = explained("--help")
    assert (result.exit, result.stderr) == (0, "")
    assert "\nManage the certificate of this device" in result.stdout
    assert "  tedge cert renew          Say tedge-cert-renew\n" in result.stdout
    assert "  tedge cert needs-renewal  Say tedge-cert-needs-renewal\n" in result.stdout
    assert "binary" not in result.stdout


def test_lists_the_commands_of_a_family(bin_directory: Path, explained: Callable[..., Result]) -> None:
    (bin_directory / "tedge-cert").unlink()
    result = explained("cert", "--help")
    assert result.exit == 0
    assert result.stdout.startswith("usage: tedge cert [OPTIONS] COMMAND")
    assert "tedge config" not in result.stdout
    alone = explained("cert")
    assert (alone.exit, alone.stdout) == (2, "")
    assert "tedge cert renew" in alone.stderr


def test_without_words_it_lists_and_fails(explained: Callable[..., Result]) -> None:
    result = explained()
    assert (result.exit, result.stdout) == (2, "")
    assert "error:" not in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("help", 0, "usage: tedge [OPTIONS] COMMAND"),
        ("--debug help", 0, "usage: tedge [OPTIONS] COMMAND"),
        ("--help config", 0, "usage: tedge [OPTIONS] COMMAND"),
        ("help cert", 10, "tedge-cert --help"),
        ("help cert renew", 11, "tedge-cert-renew --help"),
        ("cert help renew", 11, "tedge-cert-renew --help"),
        ("config help set", 13, "tedge-config set --help"),
        ("config set device.type help", 13, "tedge-config set device.type help"),
        ("help bogus", 2, ""),
        ("bogus help", 2, ""),
    ],
)
def test_help_is_a_word_too(bin_directory: Path, words: str, code: int, said: str) -> None:
    result = tedge(bin_directory, *words.split())
    assert (result.exit, bool(result.stderr)) == (code, code == 2)
    assert result.stdout.startswith(said)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("--bogus", "'--bogus' is no option of `tedge`"),
        ("--bogus config", "'--bogus' is no option of `tedge`"),
        ("cert --version", "'--version' is no option of `tedge cert`"),
        ("-- config", "'--' is no option of `tedge`"),
        ("cret renew", "did you mean 'tedge cert renew'?"),
        ("cnofig get c8y.url", "did you mean 'tedge config'?"),
        ("--config-dir", "--config-dir expects a value"),
        ("config-dir --help", "there is no command 'tedge config-dir'"),
    ],
)
def test_a_mistake_is_named(bin_directory: Path, explained: Callable[..., Result], words: str, wrong: str) -> None:
    (bin_directory / "tedge-cert").unlink()
    result = explained(*words.split())
    assert (result.exit, result.stdout) == (2, "")
    assert wrong in result.stderr
    family = "tedge cert" if words == "cert --version" else "tedge"
    assert re.fullmatch(rf"error: [^\n]+ see `{family} --help`\n", result.stderr)


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_tells_its_version(bin_directory: Path, option: str) -> None:
    result = tedge(bin_directory, option)
    assert (result.exit, result.stderr) == (0, "")
    assert result.stdout.startswith("tedge 0.")


def test_a_link_to_it_finds_the_commands_too(bin_directory: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "tedge").symlink_to(bin_directory / "tedge")
    assert tedge(tmp_path / "elsewhere", "config").stdout == "tedge-config\n"


def test_every_command_of_ours_has_its_line() -> None:
    listed = run(["tedge", "--help"], isolated=True).stdout
    for each in BIN.glob("tedge-*"):
        words = each.name.replace("tedge-cert-", "tedge cert ").replace("tedge-", "tedge ", 1)
        line = next(line for line in listed.splitlines() if line.startswith(f"  {words} "))
        assert line.removeprefix(f"  {words} ").strip()
