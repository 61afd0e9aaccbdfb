# SPDX-License-Identifier: Apache-2.0
"""Options and prompts of a registration, and what is printed for the operator."""

import argparse
import io
import os
from pathlib import Path

import pytest

from tedge_cert.cli import entry
from tedge_cert.cli.arguments import Parser
from tedge_cert.commands import download
from tedge_cert.commands.download import Registration
from tedge_cert.errors import ConfigurationError
from unit.certificates import make

FILE = '[c8y]\nurl = "tenant.example"\n[device]\ncert_path = "{0}/cert.pem"\nkey_path = "{0}/key.pem"\n'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A configured device without an identity."""
    (tmp_path / "tedge.toml").write_text(FILE.format(tmp_path) + f'[run]\npath = "{tmp_path}"\n')
    return tmp_path


def arguments_of(directory: Path, *words: str) -> argparse.Namespace:
    made = Parser("cert download", None)
    entry.add_cloud(made, required=True, clouds=("c8y",))
    download.add_to(made)
    return made.read(["--config-dir", str(directory), "c8y", *words])


def registration_of(directory: Path, *words: str) -> Registration:
    arguments = arguments_of(directory, *words)
    return download.registration_of(arguments, entry.instance_of(arguments))


def test_takes_what_the_command_line_says(directory: Path) -> None:
    wanted = Registration("d-1", "secret-1", False, "tenant.example")
    assert registration_of(directory, "--device-id", "d-1", "-p", "secret-1") == wanted
    assert registration_of(directory, "--device-id=d-1", "--one-time-password", "secret-1") == wanted


def test_takes_what_the_environment_says(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE_ID", "d-2")
    monkeypatch.setenv("DEVICE_ONE_TIME_PASSWORD", "secret-2")
    assert registration_of(directory) == Registration("d-2", "secret-2", False, "tenant.example")


def test_the_password_does_not_stay_in_the_environment(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE_ONE_TIME_PASSWORD", "secret-2")
    registration_of(directory, "--device-id", "d")
    assert "DEVICE_ONE_TIME_PASSWORD" not in os.environ


def test_the_command_line_overrules_the_environment(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE_ID", "d-2")
    monkeypatch.setenv("DEVICE_ONE_TIME_PASSWORD", "secret-2")
    given = registration_of(directory, "--device-id", "d-1", "-p", "secret-1")
    assert (given.device_id, given.password) == ("d-1", "secret-1")


def test_the_identity_comes_from_the_certificate_or_the_configuration(directory: Path) -> None:
    with (directory / "tedge.toml").open("a") as file:
        file.write("[c8y.device]\nid = 'configured'\n")
    assert registration_of(directory).device_id == "configured"
    (directory / "cert.pem").write_bytes(make("from-certificate").pem)
    assert registration_of(directory).device_id == "from-certificate"
    assert registration_of(directory, "--device-id", "given").device_id == "given"


@pytest.mark.parametrize(("cn", "found"), [("a:b", "a colon"), ("a b", "a blank"), ("a/b", "/"), ("sensor-1", "")])
@pytest.mark.parametrize("typed", [False, True])
def test_an_id_of_the_device_that_the_tenant_may_not_take(
    directory: Path, capsys: pytest.CaptureFixture[str], cn: str, found: str, typed: bool
) -> None:
    """The device may be connected with it; the command that a message names gives it as an option."""
    (directory / "cert.pem").write_bytes(make(cn).pem)
    words = ["--device-id", cn] if typed else []
    assert registration_of(directory, *words).device_id == cn
    said = f"the device id {cn} has characters ({found}) that Cumulocity does not expect in one"
    assert (said in capsys.readouterr().err) is bool(found)


def test_a_password_is_made_where_none_is_given(directory: Path) -> None:
    made = [registration_of(directory, "--device-id", "d") for _ in range(20)]
    assert all(each.generated and len(each.password) == 32 and each.password.isalnum() for each in made)
    assert len({each.password for each in made}) == 20


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("other.example", "other.example"),
        ("other.example:443", "other.example"),
        ("o.example:8443", "o.example:8443"),
        ("[::1]:1", "[::1]:1"),
    ],
)
def test_another_tenant(directory: Path, given: str, host: str) -> None:
    assert registration_of(directory, "--device-id", "d", "--url", given).host == host


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device-id", "a:b"], "'a:b' cannot be a device id: a device id has only"),
        (["--device-id", "x" * 65], "at most 64 characters"),
        (["--device-id", "d", "-p", "x", "--prompt"], "--prompt contradicts a one-time password"),
    ],
)
def test_what_cannot_be(directory: Path, words: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        registration_of(directory, *words)


def test_a_tenant_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"no value for 'c8y.url'; set one with `sudo tedge config set c8y.url <value>`"
    ):
        registration_of(tmp_path, "--device-id", "d")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("", False),
        ("0", False),
        ("false", False),
        ("No", False),
        ("off", False),
        ("1", True),
        ("true", True),
        ("yes", True),
    ],
)
def test_the_address_can_be_left_out(directory: Path, monkeypatch: pytest.MonkeyPatch, text: str, hidden: bool) -> None:
    monkeypatch.setenv("DEVICE_NO_REGISTRATION_URL", text)
    assert arguments_of(directory).no_registration_url is hidden


def test_durations_of_the_loop(directory: Path) -> None:
    arguments = arguments_of(directory)
    assert (arguments.retry_every, arguments.max_timeout) == (30, 600)
    arguments = arguments_of(directory, "--retry-every", "1s", "--max-timeout", "1h 30m")
    assert (arguments.retry_every, arguments.max_timeout) == (1, 5400)


class Terminal(io.StringIO):
    """A stdin that is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_a_person_is_asked(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(" typed-id \n"))
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "typed-secret"

    monkeypatch.setattr("getpass.getpass", answer)
    given = registration_of(directory, "--prompt")
    assert (given.device_id, given.password, given.generated) == ("typed-id", "typed-secret", False)
    assert asked == ["Enter one-time password: "]
    assert capsys.readouterr() == ("", "Enter device id: ")


def test_a_script_may_give_the_password_on_stdin(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("piped-secret\n"))
    assert registration_of(directory, "--device-id", "d", "--prompt").password == "piped-secret"


def test_a_script_is_not_asked_for_an_identity(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("x\n"))
    with pytest.raises(ConfigurationError, match="no device id: give one with --device-id or DEVICE_ID"):
        registration_of(directory)
