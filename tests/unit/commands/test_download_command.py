# SPDX-License-Identifier: Apache-2.0
"""`tedge cert download` before it asks the tenant."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tedge_cert.commands import download as download_command
from tedge_cert.commands.download import Registration
from unit.children import run
from unit.local_device import Result


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A configured device without an identity."""
    (tmp_path / "tedge.toml").write_text('[c8y]\nurl = "tenant.example"\n')
    return tmp_path


@pytest.mark.parametrize("generated", [False, True])
@pytest.mark.parametrize("without_address", [False, True])
def test_shows_a_password_only_if_it_was_made_here(
    capsys: pytest.CaptureFixture[str], generated: bool, without_address: bool
) -> None:
    download_command.announce(Registration("d 1&x", "s3cret-word", generated, "h.example:8443"), without_address)
    said = capsys.readouterr()
    assert said.out == ""
    assert ("s3cret-word" in said.err) == generated
    address = next((line.strip() for line in said.err.splitlines() if line.strip().startswith("https://")), None)
    assert (address is not None) == (generated and not without_address)
    if not generated:
        assert said.err == "Registering d 1&x with h.example:8443\n"
        return
    assert "Register the device on h.example:" in said.err
    assert "device id:         d 1&x\n" in said.err
    if address is not None:
        parts = urlsplit(urlsplit(address).fragment)
        assert urlsplit(address).netloc == "h.example:8443"
        assert parse_qs(parts.query) == {"externalId": ["d 1&x"], "one-time-password": ["s3cret-word"]}


def download(directory: Path, *words: str, **environment: str) -> Result:
    return run(["tedge-cert-download", *words], directory, variables=environment)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["aws"], "invalid choice: 'aws'"),
        ([], "the following arguments are required: cloud"),
        (["c8y", "--retry-every", "soon"], "argument --retry-every: 'soon': expected a duration such as 30d"),
        (["c8y", "--max-timeout", "-1"], "--max-timeout"),
    ],
)
def test_mistakes_are_two(directory: Path, words: list[str], said: str) -> None:
    result = download(directory, *words)
    assert (result.exit, result.stdout) == (2, "")
    assert said in result.stderr


def test_help_shows_no_password(directory: Path) -> None:
    result = download(directory, "--help", DEVICE_ONE_TIME_PASSWORD="s3cret-word")
    assert result.exit == 0
    assert "s3cret-word" not in result.stdout
    assert "DEVICE_ONE_TIME_PASSWORD" in result.stdout


def test_contradictions_reach_nobody(directory: Path) -> None:
    result = download(directory, "c8y", "--prompt", "--device-id", "d", DEVICE_ONE_TIME_PASSWORD="x")
    assert (result.exit, result.stdout) == (1, "")
    assert "--prompt contradicts" in result.stderr
    assert sorted(each.name for each in directory.iterdir()) == ["tedge.toml"]
