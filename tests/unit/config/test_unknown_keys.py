# SPDX-License-Identifier: Apache-2.0
"""Settings that nothing knows are named, with their place and the nearest known one, and kept."""

from pathlib import Path

import pytest

from tedge_cert.config import settings as config
from tedge_cert.config import unknown_keys
from tedge_cert.config.toml_errors import editor_at
from tedge_cert.config.unknown_keys import Unknown
from unit.children import run


def load(directory: Path, text: str, profile: str = "") -> config.Config:
    (directory / "tedge.toml").write_text(text)
    return config.load(str(directory), profile)


@pytest.mark.parametrize(
    ("text", "name", "near", "is_misspelt"),
    [
        ("[c8y]\nulr = 'a.example'", "c8y.ulr", "c8y.url", True),
        ("[device]\nkey_pth = '/k'", "device.key_pth", "device.key_path", True),
        (
            "[certificate.validity]\nminimum = '30d'",
            "certificate.validity.minimum",
            "certificate.validity.minimum_duration",
            True,
        ),
        ("[c8y.profiles.p]\nulr = 'a.example'", "c8y.profiles.p.ulr", "c8y.url", True),
        ("[c8y.profiles.test]\nunknown = 1", "c8y.profiles.test.unknown", "", False),
        ("[mytool]\nsetting = 1", "mytool.setting", "", False),
        ("speed = 1", "speed", "", False),
        ("[mqtt]\nclient_prot = 1883", "mqtt.client_prot", "mqtt.client.port", True),
    ],
)
def test_names_each_key_that_nothing_knows(tmp_path: Path, text: str, name: str, near: str, is_misspelt: bool) -> None:
    settings = load(tmp_path, text)
    found = Unknown(name, near, settings.file)
    assert unknown_keys.unknown(settings) == [found]
    assert unknown_keys.misspelt(settings) == ((found,) if is_misspelt else ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[config]\nversion = '2'\n[mqtt]\nport = 1884\n[c8y]\nurl = 'a.example'\n[c8y.profiles.p]\nurl = 'b.example'",
        "[azure]\nmapper_timestamp = true\n[device]\nkey.path = '/k'\n[c8y.profiles.p]\nsmartrest_templates = []",
    ],
)
def test_knows_present_and_former_keys(tmp_path: Path, text: str) -> None:
    assert unknown_keys.unknown(load(tmp_path, text)) == []


@pytest.mark.parametrize("cloud", ["c8y", "az"])
def test_finds_them_in_the_file_of_a_mapper(tmp_path: Path, cloud: str) -> None:
    mapper = tmp_path / f"mappers/{cloud}/mapper.toml"
    mapper.parent.mkdir(parents=True)
    mapper.write_text(f"cloud_type = '{cloud}'\nulr = 'a.example'\nmapper.mqtt.max_payload_size = 5\n")
    settings = load(tmp_path, f"[{cloud}]\nurl = 'left.example'\n")
    assert settings.unread() == [cloud]
    assert unknown_keys.misspelt(settings) == (Unknown(f"{cloud}.ulr", f"{cloud}.url", str(mapper)),)


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("TEDGE_C8Y_ULR", "TEDGE_C8Y_URL"),
        ("TEDGE_UNKNOWN_VALUE", ""),
        ("TEDGE_C8Y_PROFILES_TEST_UNKNOWN", ""),
        ("TEDGE_C8Y_PROFILES_A_B_ULR", "TEDGE_C8Y_PROFILES_A_B_URL"),
    ],
)
def test_names_a_variable_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, near: str
) -> None:
    monkeypatch.setenv(variable, "x")
    found = [each for each in unknown_keys.unknown(load(tmp_path, "[c8y.profiles.a_b]")) if each.name == variable]
    assert found == [Unknown(variable, near)]


def test_knows_variables_of_all_spellings_and_its_own(tmp_path: Path) -> None:
    known = ("MQTT_PORT", "AZURE_URL", "C8Y_PROFILES_A_B_ROOT_CERT_PATH", "CLOUD_PROFILE", "RUN_PATH", "INSTANCE")
    variables = {f"TEDGE_{each}": "" for each in known}
    assert run(["tedge-config", "list"], tmp_path, variables=variables).stderr == ""


def test_the_editor_opens_the_line_of_a_key(tmp_path: Path) -> None:
    file = tmp_path / "tedge.toml"
    file.write_text("# url\n[c8y]\nhttp = 'url'\n  ulr = 'x'\n")
    assert editor_at(str(file), "c8y.ulr") == f"sudo editor +4 {file}"
    assert editor_at(str(file), "c8y.missing") == f"sudo editor +1 {file}"


@pytest.mark.parametrize(
    "words",
    [
        "tedge-config get device.type",
        "tedge-config list device.type",
        "tedge-config set device.type thin-edge.io",
        "tedge-cert-show",
        "tedge-cert-renew c8y",
        "tedge-connect c8y --test",
        "tedge-http get /c8y/x",
    ],
)
def test_each_command_names_them_once_and_keeps_them(tmp_path: Path, words: str) -> None:
    (tmp_path / "tedge.toml").write_text("[c8y]\nulr = 'a.example'\n")
    said = run(words.split(), tmp_path, variables={"TEDGE_C8Y_UNKNOWN": "x"})
    assert "TEDGE_" not in said.stdout
    assert said.stderr.count("TEDGE_C8Y_UNKNOWN in the environment has no effect") == 1
    assert (
        f"warning: c8y.ulr in {tmp_path}/tedge.toml has no effect, as there is no such key; did you mean c8y.url? "
        f"`sudo editor +2 {tmp_path}/tedge.toml` opens the file there\n"
    ) in said.stderr
    assert said.stderr.count("has no effect") == 2
    assert "ulr = 'a.example'\n" in (tmp_path / "tedge.toml").read_text()


@pytest.mark.parametrize(
    "words", ["tedge-completions bash", "tedge-cert-needs-renewal c8y", "tedge-cert-needs-renewal --systemd c8y"]
)
def test_completions_and_the_hourly_check_do_not(tmp_path: Path, words: str) -> None:
    (tmp_path / "tedge.toml").write_text("[c8y]\nulr = 'a.example'\n")
    assert "no effect" not in run(words.split(), tmp_path, variables={"TEDGE_UNKNOWN": "x"}).stderr


def test_a_unit_does_not(tmp_path: Path) -> None:
    (tmp_path / "tedge.toml").write_text("[c8y]\nulr = 'a.example'\n")
    program = (
        "import os, sys\nfacts = os.fstat(2)\nos.environ['JOURNAL_STREAM'] = f'{facts.st_dev}:{facts.st_ino}'\n"
        "sys.argv = ['verify', 'c8y']\nfrom tedge_cert.cli import entry\nfrom tedge_cert.config import settings\n"
        "entry.warn_of_unknown(settings.load())\n"
    )
    assert run([], tmp_path, text=program).stderr == ""
