# SPDX-License-Identifier: Apache-2.0
"""`tedge cert needs-renewal` as a person runs it: exit codes and words of thin-edge."""

from pathlib import Path

import pytest

from tedge_cert.steps import needs_renewal
from unit.certificates import Made, make_for
from unit.children import run
from unit.local_device import Result

PROGRAM = "tedge-cert-needs-renewal"


def device(directory: Path, made: Made | bytes | None, settings: str = "") -> Path:
    """A device whose certificate is this; returns the path of the certificate."""
    path = directory / "cert.pem"
    (directory / "tedge.toml").write_text(f'{settings}\n[device]\ncert_path = "{path}"\n')
    if made is not None:
        path.write_bytes(made.pem if isinstance(made, Made) else made)
    return path


def ask(directory: Path, *words: str, **environment: str) -> Result:
    result = run([PROGRAM, *words], directory, isolated=True, variables=environment)
    assert result.stdout == ""
    return result


@pytest.mark.parametrize(
    ("left_days", "begin_days", "minimum", "code", "status"),
    [
        (365, -1, "30d", 1, "VALID (expires in: 1y"),
        (31, -335, "30d", 1, "VALID (expires in: 31d"),
        (30, -335, "30d", 1, "VALID (expires in: 30d"),
        (29, -335, "30d", 0, "EXPIRES SOON (expires in: 29d"),
        (365, -1, "400d", 0, "EXPIRES SOON (expires in: 1y"),
        (29, -335, "1h 30m", 1, "VALID (expires in: 29d"),
        (40, -60, "39%", 1, "VALID (expires in: 40d"),
        (40, -60, "41%", 0, "EXPIRES SOON (expires in: 40d"),
        (-1, -400, "30d", 0, "EXPIRED (since: 23h"),
        (365, 2, "30d", 1, "NOT VALID YET (will be in: 2d"),
    ],
)
def test_codes_of_states(tmp_path: Path, left_days: int, begin_days: int, minimum: str, code: int, status: str) -> None:
    device(tmp_path, make_for(left_days, begin_days), f'[certificate.validity]\nminimum_duration = "{minimum}"')
    result = ask(tmp_path)
    assert (result.exit, result.stderr.count("\n")) == (code, 1)
    assert result.stderr.startswith(f"Status:        {status}")


@pytest.mark.parametrize(
    ("words", "code", "status"),
    [
        ("--expires-in 39d", 1, "VALID"),
        ("--expires-in=41d", 0, "EXPIRES SOON"),
        ("--expires-in 39%", 1, "VALID"),
        ("c8y --expires-in 75%", 0, "EXPIRES SOON"),
    ],
)
def test_one_question_can_have_another_threshold(tmp_path: Path, words: str, code: int, status: str) -> None:
    """A certificate with forty of a hundred days left; the percentage is a part of its lifetime."""
    device(tmp_path, make_for(40, -60))
    result = ask(tmp_path, *words.split())
    assert (result.exit, result.stderr.startswith(f"Status:        {status} (expires in: 40d")) == (code, True)


@pytest.mark.parametrize("words", [["c8y"], ["aws"], ["az"], ["c8y", "--profile", "p"], ["az", "--profile=q"]])
def test_takes_clouds_and_profiles(tmp_path: Path, words: list[str]) -> None:
    device(tmp_path, make_for(365), "[c8y.profiles.p]")
    assert ask(tmp_path, *words).exit == 1


@pytest.mark.parametrize(("cloud", "profile"), [("c8y", ""), ("c8y", "p"), ("aws", "")])
def test_the_mappers_file_names_the_certificate(tmp_path: Path, cloud: str, profile: str) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(make_for(3).pem)
    device(tmp_path, make_for(365), f'[{cloud}.device]\ncert_path = "/nonexistent"')
    mapper = tmp_path / f"mappers/{cloud}{'.' + profile if profile else ''}/mapper.toml"
    mapper.parent.mkdir(parents=True)
    mapper.write_text(f'device.cert_path = "{other}"\n')
    words = [cloud, "--profile", profile] if profile else [cloud]
    assert ask(tmp_path, *words).exit == 0
    assert ask(tmp_path).exit == 1


def test_a_profile_may_have_its_own_certificate(tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(make_for(3).pem)
    device(tmp_path, make_for(365), f'[c8y.profiles.p.device]\ncert_path = "{other}"')
    assert ask(tmp_path, "c8y").exit == 1
    assert ask(tmp_path, "c8y", "--profile", "p").exit == 0
    assert ask(tmp_path, "c8y", TEDGE_CLOUD_PROFILE="p").exit == 0
    assert ask(tmp_path, "--cert-path", str(other)).exit == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no such file; `sudo tedge cert download c8y` gets the first one"),
        (b"", "the file is empty, expected a certificate in PEM"),
        (b"garbage\n", 'no "BEGIN CERTIFICATE" block found'),
        (make_for(365).der, "looks like DER, expected PEM"),
        (make_for(365).pem[:300], "restore it, or register the device again"),
    ],
)
def test_what_is_no_certificate_is_two(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = device(tmp_path, content)
    result = ask(tmp_path)
    assert result.exit == 2
    assert result.stderr.startswith(f"error: cannot check the certificate {path}: ")
    assert said in result.stderr


def test_a_directory_is_no_certificate(tmp_path: Path) -> None:
    result = ask(tmp_path, "--cert-path", str(tmp_path))
    assert (result.exit, "Is a directory" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("settings", "words", "said"),
    [
        ("c8y = [", [], "not valid TOML"),
        ('[certificate.validity]\nminimum_duration = "soon"', [], "expected a duration such as 30d"),
        ("", ["c8y", "--profile", "second"], "no profile 'second'"),
        ("", ["c8y", "--profile", "../x"], "cannot be a profile"),
    ],
)
def test_a_bad_configuration_is_one(tmp_path: Path, settings: str, words: list[str], said: str) -> None:
    device(tmp_path, make_for(3), settings)
    result = ask(tmp_path, *words)
    assert (result.exit, said in result.stderr) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ["gcp"],
        ["c8y", "az"],
        ["--bogus"],
        ["--cert-path"],
        ["--prof", "x"],
        ["c8y", "--profile"],
        ["--profile", "p"],
        ["--cert-path", ""],
        ["--expires-in"],
        ["--expires-in", "soon"],
        ["--expires-in", "100%"],
    ],
)
def test_a_mistake_is_two(tmp_path: Path, words: list[str]) -> None:
    device(tmp_path, make_for(365))
    result = ask(tmp_path, *words)
    assert (result.exit, result.stderr.endswith("see `tedge cert needs-renewal --help`\n")) == (2, True)


def test_the_unit_has_its_threshold_from_the_settings(tmp_path: Path) -> None:
    device(tmp_path, make_for(365))
    result = ask(tmp_path, "--systemd", "c8y", "--expires-in", "20d")
    assert (result.exit, "argument --expires-in: not allowed with argument --systemd" in result.stderr) == (255, True)


def test_help_tells_the_codes(tmp_path: Path) -> None:
    result = run([PROGRAM, "--help"], tmp_path, isolated=True)
    assert (result.exit, result.stderr) == (0, "")
    assert "0 renew, 1 still valid, 2 not a certificate" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("content", "words", "code"),
    [(make_for(365), [], 0), (b"garbage", [], 0), (None, [], 0), (make_for(365), ["--cert-path", "cert.pem"], 1)],
)
def test_an_unfinished_switch_is_something_to_do(
    tmp_path: Path, content: Made | bytes | None, words: list[str], code: int
) -> None:
    path = device(tmp_path, content)
    path.with_name("cert.pem.previous").write_bytes(make_for(3).pem)
    assert ask(tmp_path, *[str(path) if word == "cert.pem" else word for word in words]).exit == code


@pytest.mark.parametrize("option", ["--debug", "--log-level=debug"])
def test_takes_the_options_of_every_command(tmp_path: Path, option: str) -> None:
    device(tmp_path, make_for(365))
    assert ask(tmp_path, option).exit == 1


def test_another_configuration_directory(tmp_path: Path) -> None:
    device(tmp_path, make_for(3))
    assert run([PROGRAM, "--config-dir", str(tmp_path)], isolated=True).exit == 0


def test_reads_the_plain_command_lines_itself() -> None:
    question = needs_renewal.parse(["--systemd", "c8y", "--profile", "p", "--cert-path=/c", "--config-dir", "/d"])
    assert question is not None
    assert [getattr(question, name) for name in sorted(question.__slots__)] == ["/c", "c8y", "/d", "", "p", True]
    assert needs_renewal.parse(["--help"]) is None
