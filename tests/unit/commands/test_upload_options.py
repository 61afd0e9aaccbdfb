# SPDX-License-Identifier: Apache-2.0
"""User and password of an upload: from the command line, the environment, or the prompt."""

import io
import os

import pytest

from tedge_cert.cli.arguments import Parser
from tedge_cert.commands import upload
from tedge_cert.config.credentials import Credentials
from tedge_cert.errors import ConfigurationError


def operator_of(*words: str) -> Credentials:
    parser = Parser("test")
    upload.add_to(parser)
    return upload.operator_of(parser.parse_args(upload.joined(list(words))))


class Terminal(io.StringIO):
    """A stdin that is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_a_person_is_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("typed\n"))
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return " with blanks "

    monkeypatch.setattr("getpass.getpass", answer)
    assert operator_of() == Credentials("typed", " with blanks ")
    assert asked == ["Enter password: "]
    assert capsys.readouterr() == ("", "Enter username: ")


def test_a_script_may_give_both_on_stdin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("user\r\npass word\n"))
    assert operator_of() == Credentials("user", "pass word")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("stdin", "words", "said"),
    [
        ("", (), "no user for the tenant: give one with --user or C8Y_USER"),
        ("user\n", (), "no password for the tenant: give one with C8Y_PASSWORD"),
        ("\n", ("--user", "u"), "no password"),
    ],
)
def test_nobody_answers(monkeypatch: pytest.MonkeyPatch, stdin: str, words: tuple[str, ...], said: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    with pytest.raises(ConfigurationError, match=said):
        operator_of(*words)


@pytest.mark.parametrize("name", ["C8Y_PASSWORD", "C8YPASS"])
def test_no_child_inherits_the_password(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("C8Y_USER", "u")
    monkeypatch.setenv(name, "p")
    assert operator_of() == Credentials("u", "p")
    assert not {"C8Y_USER", "C8Y_PASSWORD", "C8YPASS"} & set(os.environ)


@pytest.mark.parametrize(
    ("words", "password"),
    [
        (("--password", "-x"), "-x"),
        (("--password", "--user"), "--user"),
        (("--password=-x",), "-x"),
        (("--password", "a=b"), "a=b"),
    ],
)
def test_a_password_may_look_like_an_option(words: tuple[str, ...], password: str) -> None:
    assert operator_of("--user", "u", *words).password == password


def test_a_password_is_not_forgotten() -> None:
    with pytest.raises(SystemExit):
        operator_of("--password")
