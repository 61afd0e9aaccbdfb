# SPDX-License-Identifier: Apache-2.0
"""Every executable has its parser in one place, from which help, manual, completion and README are made."""

import pytest

from tedge_cert.cli.arguments import Parser
from tedge_cert.cli.executables import parser_of
from unit.children import BIN, run
from unit.local_device import ROOT

SCRIPTS = sorted(each.name for each in BIN.glob("tedge*"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_executable_gives_its_parser_away_without_running(name: str) -> None:
    made = parser_of(BIN / name)
    assert made.prog.replace(" ", "-") == name
    assert made.description


def test_the_packages_link_every_executable_and_no_other() -> None:
    """Each is in one package, with its link and its manual page."""
    linked: list[str] = []
    for package in ("tedge-cert-renewer-common", "tedge-cert-renewer"):
        listed = {
            kind: (ROOT / f"debian/{package}.{kind}").read_text().splitlines()
            for kind in ("links", "install", "manpages")
        }
        links = [each for each in listed["links"] if " usr/bin/" in each]
        names = [each.rpartition("/")[2] for each in links]
        assert links == [f"usr/lib/tedge-cert-renewer/{each} usr/bin/{each}" for each in names]
        assert [each for each in listed["install"] if each.startswith("bin/")] == [
            f"bin/{each} usr/lib/tedge-cert-renewer" for each in names
        ]
        assert [each for each in listed["manpages"] if each.endswith(".1")] == [
            f"debian/made/{each}.1" for each in names
        ]
        linked += names
    assert sorted(linked) == sorted(SCRIPTS)


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["tedge-config", "gte", "c8y.url"], "get"),
        (["tedge-config", "list", "--alll"], "--all"),
        (["tedge-connect", "c8y", "--ofline"], "--offline"),
        (["tedge-cert-renew", "--ca", "self-singed"], "self-signed"),
        (["tedge", "cert", "rnew"], "tedge cert renew"),
        (["tedge", "conect"], "tedge connect"),
    ],
)
def test_the_nearest_known_word_is_named(words: list[str], near: str) -> None:
    result = run(words)
    assert (result.exit, result.stdout) == (2, "")
    assert f"did you mean '{near}'?" in result.stderr


def test_nothing_near_is_not_guessed() -> None:
    assert "did you mean" not in run(["tedge-connect", "c8y", "--zzzzzz"]).stderr


@pytest.mark.parametrize("words", ["tedge-connect c8y --off", "tedge-cert-show --ne", "tedge-config list --al"])
def test_abbreviated_options_are_refused(words: str) -> None:
    result = run(words.split())
    assert (result.exit, result.stdout) == (2, "")


def test_codes_of_its_own_stand_among_the_usual_ones() -> None:
    made = Parser("test", "Test", exits={3: "three", 1: "one"}, environment={"A": "b"})
    assert list(made.exits) == [0, 1, 2, 3]
    assert "  1  one\n  2  misuse of the command line\n  3  three\n" in made.format_help()
    assert "  A                 b\n" in made.format_help()


def test_help_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> Parser:
        return Parser("x", "a word " * 20, exits={3: "a word " * 20}, environment={"A": "a word " * 20})

    monkeypatch.setenv("COLUMNS", "60")
    assert f"  3  {'a word ' * 20}".rstrip() in made().format_help()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    lines = made().format_help().splitlines()
    assert max(map(len, lines)) <= 60
    at = next(number for number, line in enumerate(lines) if line.startswith("  3  "))
    assert (lines[at + 1][:5], lines[at + 1][5] != " ") == ("     ", True)


BODY = "tedge-http post /c8y/x BODY --content-type text/plain --profile p"


@pytest.mark.parametrize(
    "typed",
    [
        "tedge-http post /c8y/x --content-type text/plain BODY --profile p",
        "tedge-http post --content-type=text/plain /c8y/x --profile p BODY",
        "tedge-http --debug post --profile p --content-type text/plain -- /c8y/x BODY",
        "tedge-http post /c8y/x --profile p --content-type text/plain -- BODY",
    ],
)
def test_options_may_stand_between_arguments(typed: str) -> None:
    name, *words = typed.split()
    found, wanted = (vars(parser_of(BIN / name).read(each)) for each in (words, BODY.split()[1:]))
    named = ("verb", "uri", "content", "content_type", "profile")
    assert [found[each] for each in named] == [wanted[each] for each in named]


@pytest.mark.parametrize("name", ["tedge-hsm create-key", "tedge-cert-create-key-hsm"])
def test_a_token_may_follow_the_profile_of_its_cloud(name: str) -> None:
    script, *words = f"{name} c8y --profile p --type rsa pkcs11:token=x --force-new".split()
    found = parser_of(BIN / script).read(words)
    assert (found.place, found.profile, found.type, found.force_new) == (["c8y", "pkcs11:token=x"], "p", "rsa", True)


@pytest.mark.parametrize(
    "words", ["get /c8y/x /c8y/y --profile", "post /c8y/x BODY --profile", "post a b --profile -- BODY", "get - -1"]
)
def test_an_option_without_its_value_is_a_mistake(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser_of(BIN / "tedge-http").read(words.split())
    assert ("--profile: expected one argument" in capsys.readouterr().err) is ("--profile" in words)
