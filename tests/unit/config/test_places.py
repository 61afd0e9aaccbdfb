# SPDX-License-Identifier: Apache-2.0
"""Where settings come from: profiles, the mapper's files of thin-edge 2.x, and the environment."""

from pathlib import Path

import pytest

from tedge_cert.config import settings as config
from tedge_cert.errors import ConfigurationError
from unit.config.test_settings import write

TWO_CLOUDS = '[c8y]\nurl = "one.example"\n[c8y.profiles.second]\nurl = "two.example"\n[c8y.profiles.a-b]\n'


@pytest.mark.parametrize(
    ("profile", "name", "value"),
    [
        ("", "c8y.http", "one.example:443"),
        ("second", "c8y.http", "two.example:443"),
        ("SECOND", "c8y.http", "two.example:443"),
        ("second", "device.type", "thin-edge.io"),
        ("third", "c8y.url", None),
    ],
)
def test_a_profile_has_its_own_keys(tmp_path: Path, profile: str, name: str, value: str | None) -> None:
    assert config.load(write(tmp_path, TWO_CLOUDS), profile).get(name) == value


def test_profiles_are_listed(tmp_path: Path) -> None:
    assert config.load(write(tmp_path, TWO_CLOUDS)).profiles() == ["a-b", "second"]
    assert config.load(write(tmp_path, "c8y = 1")).profiles() == []
    assert config.load(write(tmp_path, "")).profiles() == []


def test_a_profile_that_is_not_set_up(tmp_path: Path) -> None:
    directory = write(tmp_path, TWO_CLOUDS)
    config.need_profile(config.load(directory, "second"))
    with pytest.raises(
        ConfigurationError, match=r"no profile 'third' of c8y in .*tedge.toml \(known: a-b, second\).*--profile third"
    ):
        config.need_profile(config.load(directory, "third"))


@pytest.mark.parametrize("profile", ["../x", "a b", "-", "a.b", "\u00e4", "a/b", "a\n"])
def test_names_that_no_profile_can_have(tmp_path: Path, profile: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be a profile"):
        config.load(str(tmp_path), profile)


def test_the_environment_overrules_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = write(tmp_path, TWO_CLOUDS)
    monkeypatch.setenv("TEDGE_C8Y_URL", "env.example")
    monkeypatch.setenv("TEDGE_C8Y_PROFILES_A_B_URL", "ab.example")
    monkeypatch.setenv("TEDGE_MQTT_BIND_PORT", "1")
    monkeypatch.setenv("TEDGE_C8Y_SMARTREST_TEMPLATES", "a,b")
    default = config.load(directory)
    assert default.get("c8y.http") == "env.example:443"
    assert default.get("mqtt.client.port") == 1
    assert default.names("c8y.smartrest.templates") == ["a", "b"]
    assert default.stored("c8y.url")[1] == "TEDGE_C8Y_URL"
    assert config.load(directory, "second").get("c8y.url") == "two.example"
    assert config.load(directory, "a-b").get("c8y.url") == "ab.example"


def test_an_empty_variable_leaves_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every type, and with a value in the file: an empty text is hardly ever a valid value."""
    (tmp_path / "tedge.toml").write_text('[mqtt.bind]\nport = 1884\n[device]\ntype = "x"\n[c8y]\nurl = "a.example"\n')
    for name in ("MQTT_BIND_PORT", "DEVICE_TYPE", "C8Y_URL", "C8Y_ROOT_CERT_PATH", "C8Y_AUTH_METHOD", "DEVICE_ID"):
        monkeypatch.setenv(f"TEDGE_{name}", "")
    settings = config.load(str(tmp_path))
    keys = ("mqtt.bind.port", "device.type", "c8y.url", "c8y.root_cert_path", "c8y.auth_method", "device.id")
    assert [settings.get(key) for key in keys] == [1883, "thin-edge.io", None, "/etc/ssl/certs", "certificate", None]


def test_a_bad_value_in_the_environment_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEDGE_MQTT_BIND_PORT", "many")
    with pytest.raises(ConfigurationError, match=r"the environment variable TEDGE_MQTT_BIND_PORT: .*'many'"):
        config.load(str(tmp_path)).get("mqtt.bind.port")


def test_the_directory_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEDGE_CONFIG_DIR", str(tmp_path))
    assert config.load().file == f"{tmp_path}/tedge.toml"
    monkeypatch.delenv("TEDGE_CONFIG_DIR")
    assert config.load().file == "/etc/tedge/tedge.toml"


def test_the_mappers_file_holds_the_keys_of_its_cloud(tmp_path: Path) -> None:
    directory = write(tmp_path, TWO_CLOUDS)
    write(tmp_path, 'url = "three.example"\ndevice.id = "d"\n', "mappers/c8y/mapper.toml")
    write(tmp_path, 'url = "four.example"\n', "mappers/c8y.new/mapper.toml")
    default = config.load(directory)
    assert (default.get("c8y.http"), default.get("c8y.device.id")) == ("three.example:443", "d")
    assert default.get("device.type") == "thin-edge.io"
    assert config.need_profile(config.load(directory, "new")).get("c8y.url") == "four.example"


def test_a_broken_mapper_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, "url = ", "mappers/c8y/mapper.toml")
    with pytest.raises(ConfigurationError, match=r"mappers/c8y/mapper.toml is not valid TOML"):
        config.load(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ('"a b"', "device.type", "a b"),
        ("plain", "device.type", "plain"),
        ('"half', "device.type", '"half'),
        ('["one", "two"]', "c8y.smartrest.templates", ["one", "two"]),
        ("one,two", "c8y.smartrest.templates", ["one", "two"]),
        ('"90m"', "certificate.validity.minimum_duration", "90m"),
        ("[fe80::1]:8883", "c8y.mqtt", "[fe80::1]:8883"),
        ("[::1]", "c8y.mqtt", "[::1]:8883"),
    ],
)
def test_a_variable_can_have_a_value_as_toml_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str, value: object
) -> None:
    settings = config.load(write(tmp_path, ""))
    monkeypatch.setenv(settings.variable(name), text)
    assert settings.get(name) == value
