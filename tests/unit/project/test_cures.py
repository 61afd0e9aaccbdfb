# SPDX-License-Identifier: Apache-2.0
"""Every command that a message, the catalog or a manual tells a person to type can be typed as it stands there."""

import ast
import contextlib
import errno
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert import cures
from tedge_cert.cli.arguments import Parser
from tedge_cert.cli.examples import EXAMPLES
from tedge_cert.cli.executables import parsers
from tedge_cert.status import verdict
from unit.children import BIN
from unit.local_device import ROOT
from unit.statuses import UNHEALTHY

PARSERS = parsers(BIN)
ROOTS_WORDS = (
    "tedge hsm",
    "tedge config set",
    "tedge config unset",
    "tedge config add",
    "tedge config remove",
    "tedge config upgrade",
)
# Programs that change what belongs to root, or show what only root may see.
ROOTS_PROGRAMS = re.compile(
    r"(chown|chmod|apt|apt-get|journalctl|systemctl (enable|disable|start|restart|edit)|systemd-tmpfiles|"
    r"systemd-sysusers|timedatectl set-ntp|rm|date)\b"
)
ROOMS = list((ROOT / "lib/tedge_cert").rglob("*.py"))
SPAN = re.compile(r"(?<!`)`((?:sudo )?(?:tedge|systemctl|chown|chmod|apt|journalctl|systemd-tmpfiles) [^`]+)`(?!`)")


def filled(node: ast.expr) -> str:
    """Return the text of a string, with a word that is possible in the place of each value."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(filled, node.values))
    if isinstance(node, ast.FormattedValue):
        source = ast.unparse(node.value)
        if "option" in source:
            return " --profile p"
        if "words" in source:
            return " c8y --profile p" if source == "words" else "c8y --profile p"
        return "c8y" if source == "cloud" else "x"
    return ""


def strings_of(path: Path) -> Iterator[str]:
    kinds = ast.Expr, ast.JoinedStr, ast.Constant
    nodes = [each for each in ast.walk(ast.parse(path.read_text())) if isinstance(each, kinds)]
    other = {id(each.value) for each in nodes if isinstance(each, ast.Expr)}
    other |= {id(part) for each in nodes if isinstance(each, ast.JoinedStr) for part in each.values}
    for each in nodes:
        if isinstance(each, ast.Constant | ast.JoinedStr) and id(each) not in other:
            yield filled(each)


def printed() -> Iterator[tuple[str, str]]:
    """Yield each command with the place where it is printed."""
    for path in [*ROOMS, *sorted(BIN.glob("tedge*"))]:
        if path.is_file():
            yield from ((path.name, each) for text in strings_of(path) for each in SPAN.findall(text))
    yield from (("examples", each) for typed in EXAMPLES.values() for each in typed)
    catalog = (ROOT / "units/tedge-cert-renewer.catalog").read_text()
    catalog = catalog.replace("@TEDGE_INSTANCE@", "c8y --profile p").replace("@RENEWAL_UNIT@", "x.service")
    yield from (
        ("catalog", each) for each in re.findall(r"^  ((?:sudo |tedge |journalctl |systemctl ).*)$", catalog, re.M)
    )
    for page in sorted((ROOT / "debian/man").glob("*.7")):
        yield from ((page.name, each) for each in re.findall(r"^\.Dl (.*)$", page.read_text(), re.M))
    readme = (ROOT / "README.md").read_text()
    for block in re.findall(r"^```sh\n(.*?)^```", readme, re.M | re.S):
        yield from (("README.md", each.partition("#")[0].strip()) for each in block.splitlines() if each.strip())


def parser_of(words: list[str]) -> tuple[Parser, list[str]]:
    """Return the parser of a command line, and its arguments."""
    for count in range(len(words), 0, -1):
        name = " ".join(words[:count])
        if name in PARSERS:
            return PARSERS[name], words[count:]
    raise LookupError(words)


def fault_of(command: str) -> str:
    """Return what is wrong with a command that a person would type; empty if nothing is."""
    for part in re.split(r" *(?:&&|;|\|\|?) +", command):
        words = shlex.split(part.replace("<", "").replace(">", ""))
        is_roots = words[:1] == ["sudo"]
        words = words[is_roots:]
        if words[:1] != ["tedge"]:
            if bool(ROOTS_PROGRAMS.match(" ".join(words))) and not is_roots:
                return f"{part}: needs sudo"
            continue
        made, rest = parser_of(words)
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                arguments = made.read(rest)
        except SystemExit as end:
            if end.code == 0:
                continue
            return f"{part}: {said.getvalue()}"
        needs_root = (made.needs_root or " ".join(words).startswith(ROOTS_WORDS)) and not getattr(
            arguments, "test", False
        )
        if needs_root != is_roots:
            return f"{part}: {'needs' if needs_root else 'needs no'} sudo"
    return ""


COMMANDS = sorted(set(printed()))
ON_THE_SCREEN = sorted({each.cure for states in UNHEALTHY.values() for each in verdict.problems(states)})


def test_every_command_has_an_example_of_itself() -> None:
    for name, typed in EXAMPLES.items():
        assert any(each.removeprefix("sudo ").startswith(name) for each in typed), name
    assert set(EXAMPLES) <= set(PARSERS)


def test_commands_are_found_everywhere() -> None:
    assert {"catalog", "tedge-cert-renewer.7", "README.md", "connect.py", "tedge-cert-create"} <= {
        at for at, _ in COMMANDS
    }


@pytest.mark.parametrize("command", ON_THE_SCREEN)
def test_what_the_screen_names_can_be_typed(command: str) -> None:
    # Another user is told to look as root, who may read the certificate; usually root's rights are not needed.
    assert fault_of(command) == ("" if "cert status" not in command else f"{command}: needs no sudo")


@pytest.mark.parametrize(("place", "command"), COMMANDS)
def test_what_is_printed_can_be_typed(place: str, command: str) -> None:
    assert not fault_of(command), place


@pytest.mark.parametrize("words", ["c8y", "c8y --profile p"])
def test_cures_have_the_profile_and_the_whole_command(words: str) -> None:
    cures.name_instance(words)
    try:
        made = [
            cures.command("reconnect"),
            cures.register("a b"),
            cures.register(),
            cures.owners(),
            cures.let_in("/data"),
        ]
        made.append(cures.let_in("/etc/tedge"))
    finally:
        cures.name_instance("c8y")
    commands = [each for text in made for each in SPAN.findall(text)]
    assert len(commands) == len(made)
    assert [fault_of(each) for each in commands] == [""] * len(made)
    assert commands[1] == f"sudo tedge cert download {words} --device-id 'a b'"


@pytest.mark.parametrize("directory", ["/etc/tedge", "/etc/ssl/certs", "/usr/share", "/root"])
def test_a_directory_of_root_is_never_given_away(directory: str) -> None:
    assert "chown" not in cures.let_in(directory)


@pytest.mark.parametrize(
    ("number", "path", "user", "said"),
    [
        (errno.EACCES, "/etc/tedge/device-certs/x", 0, "; `sudo tedge reconnect c8y` gives owners and modes back"),
        (errno.EACCES, "/run/tedge-cert-renewer/x", 0, "; `sudo tedge reconnect c8y` gives owners and modes back"),
        # An immutable file, and one that is none of ours, have other causes than a wrong owner.
        (errno.EPERM, "/etc/tedge/device-certs/x", 0, "; user tedge, as which the renewal runs, needs access to it"),
        (errno.EACCES, "/etc/tedge-other/x", 0, "; user tedge, as which the renewal runs, needs access to it"),
        (errno.EACCES, "/etc/tedge/device-certs/x", 4242, "; this needs root, or user tedge"),
        (errno.ENOENT, "/etc/tedge/device-certs/x", 0, ""),
    ],
)
def test_owners_are_given_back_only_where_they_are_the_cause(
    mocker: MockerFixture, number: int, path: str, user: int, said: str
) -> None:
    mocker.patch("os.geteuid", return_value=user)
    assert cures.mend(OSError(number, "refused", path)) == said


@pytest.mark.parametrize(
    ("path", "user", "said"),
    [
        ("/etc/tedge/device-certs/x.pem", 0, "gives owners and modes back"),
        ("/etc/tedge/x.pem", 0, "keep the certificate in a directory of its own: `sudo tedge config set"),
        ("/data/x.pem", 0, "`sudo chown tedge:mosquitto /data` lets user tedge write there"),
        ("/etc/tedge/device-certs/x.pem", 4242, "run this command as root"),
    ],
)
def test_what_lets_a_file_be_written(mocker: MockerFixture, path: str, user: int, said: str) -> None:
    mocker.patch("os.geteuid", return_value=user)
    assert said in cures.write_refused(path)


@pytest.mark.parametrize(
    ("present", "said"),
    [
        (("/run/systemd/container", "/run/systemd/system", "/usr/bin/timedatectl"), "on the machine that runs this"),
        (("/run/systemd/system", "/usr/bin/timedatectl"), "`timedatectl status`"),
        (("/run/systemd/system",), "`date`"),
        ((), "`date`"),
    ],
)
def test_the_clock_is_set_where_it_can_be(mocker: MockerFixture, present: tuple[str, ...], said: str) -> None:
    for check in ("exists", "isdir"):
        mocker.patch(f"os.path.{check}", lambda path: path in present)
    assert said in cures.clock()
