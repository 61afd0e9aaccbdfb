# SPDX-License-Identifier: Apache-2.0
"""Completion, as each shell does it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tedge_cert.cli import executables
from tedge_cert.config.keys.table import KEYS
from unit.children import BIN, environment_for, run_here

LINE = """
. "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
$(complete -p "$1" | sed -n 's/.*-F \\([^ ]*\\).*/\\1/p')
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What `tedge completions` prints for each shell."""
    directory = tmp_path_factory.mktemp("completions")
    made = {}
    for shell in ("bash", "zsh", "fish"):
        result = run_here(["tedge-completions", shell], directory)
        assert (result.exit, result.stderr) == (0, "")
        made[shell] = directory / shell
        made[shell].write_text(result.stdout)
    return made


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("tedge cert re", ["remove", "renew"]),
        ("tedge cert renew --ca |", ["c8y", "est", "self-signed"]),
        ("tedge cert renew --ca = s", ["self-signed"]),
        ("tedge-cert-renew --ca |", ["c8y", "est", "self-signed"]),
        ("tedge cert renew --pr", ["--profile"]),
        ("tedge --debug cert renew c", ["c8y"]),
        ("tedge cert download |az", []),
        ("tedge config l", ["list"]),
        ("tedge config list --d", ["--debug", "--doc"]),
        ("tedge http api po", ["post"]),
        ("tedge completions f", ["fish"]),
        ("tedge config get c8y.", sorted(key for key in KEYS if key.startswith("c8y."))),
        ("tedge config get nosuch", []),
    ],
)
def test_bash_completes(scripts: dict[str, Path], line: str, offered: list[str]) -> None:
    words = ["" if word == "|" else word for word in line.split()]
    argv = ["bash", "--norc", "-c", LINE, "bash", str(scripts["bash"]), *words]
    done = subprocess.run(argv, capture_output=True, encoding="utf-8", check=True, timeout=20)
    assert done.stderr == ""
    assert sorted(done.stdout.split()) == offered


def test_bash_completes_the_names_of_files(scripts: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "a certificate.pem").touch()
    argv = ["bash", "--norc", "-c", LINE, "bash", str(scripts["bash"]), "tedge", "cert", "show", "--cert-path"]
    done = subprocess.run([*argv, f"{tmp_path}/a"], capture_output=True, encoding="utf-8", check=True, timeout=20)
    assert done.stdout == f"{tmp_path}/a certificate.pem\n"


@pytest.fixture
def profiles(tmp_path: Path) -> dict[str, str]:
    """The environment of a device with two profiles."""
    (tmp_path / "tedge.toml").write_text('[c8y.profiles.second]\nurl = "a.example"\n[az.profiles.third]\nurl = "b"\n')
    program = f'#!/bin/sh\nexec {sys.executable} {BIN}/tedge-config "$2"\n'
    (tmp_path / "tedge").write_text(program)
    (tmp_path / "tedge").chmod(0o755)
    return environment_for(tmp_path, PATH=f"{tmp_path}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["tedge", "cert", "show", "--profile", ""], ["second", "third"]),
        (["tedge", "config", "get", "c8y.url", "--profile", "=", "s"], ["second"]),
        (["tedge-reconnect", "--profile", "t"], ["third"]),
    ],
)
def test_bash_completes_the_profiles_of_the_device(
    scripts: dict[str, Path], profiles: dict[str, str], words: list[str], offered: list[str]
) -> None:
    argv = ["bash", "--norc", "-c", LINE, "bash", str(scripts["bash"]), *words]
    done = subprocess.run(argv, env=profiles, capture_output=True, encoding="utf-8", check=True, timeout=20)
    assert (done.stdout.split(), done.stderr) == (offered, "")


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_completes_the_profiles_of_the_device(scripts: dict[str, Path], profiles: dict[str, str]) -> None:
    argv = ["fish", "-c", f"source {scripts['fish']}; complete -C 'tedge cert show --profile '"]
    done = subprocess.run(argv, env=profiles, capture_output=True, encoding="utf-8", check=True, timeout=20)
    assert [each.split("\t")[0] for each in done.stdout.splitlines()] == ["second", "third"]


HOSTILE = """\
c8y.profiles.$(touch ran).url=
c8y.profiles.`touch ran`.url=
c8y.profiles.;touch ran;.url=
c8y.profiles.a b.url=
c8y.profiles.<file>.url=
c8y.profiles.good_1-x.url=a
"""
COMPLETED = {
    "bash": """. "$1"; COMP_WORDS=(tedge cert show --profile '') COMP_CWORD=4
        _tedge; printf '%s\n' "${COMPREPLY[@]}" """,
    "zsh": """compdef() { :; }; compadd() { shift; print -rl -- "$@"; }; . "$1"
        words=(tedge cert show --profile '') CURRENT=5; _tedge""",
    "fish": "source $argv[1]; complete -C 'tedge cert show --profile '",
}


@pytest.mark.parametrize("shell", COMPLETED)
def test_what_a_listing_holds_is_not_executed(scripts: dict[str, Path], tmp_path: Path, shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "tedge").write_text(f"#!/bin/sh\ncat <<'END'\n{HOSTILE}END\n")
    (tmp_path / "tedge").chmod(0o755)
    argv = [shell, "-c", COMPLETED[shell], *(["sh"] if shell != "fish" else []), str(scripts[shell])]
    environment = environment_for(tmp_path, PATH=f"{tmp_path}:/usr/bin:/bin")
    done = subprocess.run(
        argv, env=environment, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True, timeout=20
    )
    assert not (tmp_path / "ran").exists()
    # fish adds the description of the option.
    assert [each.partition("\t")[0] for each in done.stdout.splitlines()] == ["good_1-x"]


def test_bash_executes_no_word_that_it_compares(scripts: dict[str, Path], tmp_path: Path) -> None:
    """Without regard to where the words come from."""
    words = "_tedge_words() { printf '%s\\n' 'a$(touch ran)' 'ab' 'b'; }"
    line = f'. "$1"; {words}; COMP_WORDS=(tedge cert a) COMP_CWORD=2; _tedge; printf \'%s\\n\' "${{COMPREPLY[@]}}"'
    argv = ["bash", "--norc", "-c", line, "bash", str(scripts["bash"])]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True, timeout=20)
    assert done.stdout.splitlines() == ["a\\$\\(touch\\ ran\\)", "ab"]
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_completes(scripts: dict[str, Path]) -> None:
    for line, offered in {
        "tedge cert re": ["remove", "renew"],
        "tedge cert renew --ca ": ["c8y", "est", "self-signed"],
        "tedge --debug config l": ["list"],
        "tedge config get c8y.bridge.t": ["c8y.bridge.topic_prefix"],
    }.items():
        command = f"source {scripts['fish']}; complete -C '{line}'"
        done = subprocess.run(["fish", "-c", command], capture_output=True, encoding="utf-8", check=True, timeout=20)
        assert [each.split("\t")[0] for each in done.stdout.splitlines()] == offered


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_reads_it(scripts: dict[str, Path]) -> None:
    assert scripts["zsh"].read_text().startswith("#compdef tedge tedge-cert-")
    program = f"compdef() {{ print -r -- $* }}; . {scripts['zsh']}; _tedge_words 'tedge cert renew' --ca"
    argv = ["zsh", "-f", "-c", program]
    done = subprocess.run(argv, capture_output=True, encoding="utf-8", check=True, timeout=20)
    assert done.stdout.splitlines()[0].startswith("_tedge tedge ")
    assert done.stdout.splitlines()[1:] == ["c8y", "est", "self-signed"]


@pytest.mark.parametrize("words", [[], ["tcsh"], ["bash", "zsh"]])
def test_other_shells_are_misuse(tmp_path: Path, words: list[str]) -> None:
    result = run_here(["tedge-completions", *words], tmp_path)
    assert (result.exit, result.stdout) == (2, "")


def test_a_library_beside_the_executables_is_none(tmp_path: Path) -> None:
    for name in ("tedge", "tedge-cert-renew"):
        (tmp_path / name).symlink_to(BIN / name)
    (tmp_path / "tedge_cert").mkdir()
    assert set(executables.parsers(tmp_path)) == {"tedge", "tedge cert renew"}
