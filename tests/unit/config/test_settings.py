# SPDX-License-Identifier: Apache-2.0
"""Settings as the programs read them: file, profile, environment, default."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tedge_cert.config import settings as config
from tedge_cert.config.values import Value
from tedge_cert.errors import FAILURE, USAGE, ConfigurationError, UnknownKeyError


def write(directory: Path, text: str, name: str = "tedge.toml") -> str:
    file = directory / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return str(directory)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("", "device.type", "thin-edge.io"),
        ("", "c8y.url", None),
        ("", "c8y.http", None),
        ("", "c8y.smartrest.templates", []),
        ("", "mqtt.client.port", 1883),
        ("[mqtt.bind]\nport = 1884", "mqtt.client.port", 1884),
        ('[c8y]\nurl = "foo.example"', "c8y.mqtt", "foo.example:8883"),
        ('[c8y]\nurl = "foo.example"\nmqtt = "m.example"', "c8y.mqtt", "m.example:8883"),
        ('[c8y]\nurl = "foo.example"\nhttp = "h.example:1"', "c8y.http", "h.example:1"),
        ('[c8y]\nurl = "2001:db8::1"', "c8y.http", "[2001:db8::1]:443"),
        ('[c8y]\nhttp = "[::1]"', "c8y.http", "[::1]:443"),
        ('[device]\nid = "d"\n[c8y.device]\nid = "e"', "c8y.device.id", "e"),
        ('[device]\nid = "d"', "c8y.device.id", "d"),
        ("[certificate.validity]\nminimum_duration = 90", "certificate.validity.minimum_duration", "90"),
        ('[c8y.smartrest]\ntemplates = ["a", "b"]', "c8y.smartrest.templates", ["a", "b"]),
        ('[c8y.smartrest]\ntemplates = "a, b,"', "c8y.smartrest.templates", ["a", "b"]),
        ('[c8y]\nurl = "Foo.Example"', "c8y.http", "foo.example:443"),
        ('[c8y]\nurl = "Foo.Example"', "c8y.url", "Foo.Example"),
        ("[mqtt]\nport = 1884", "mqtt.client.port", 1884),
        ("", "http.bind.address", "127.0.0.1"),
        ('[mqtt.bind]\naddress = "10.0.0.1"', "http.bind.address", "10.0.0.1"),
        ('[mqtt]\nbind.address = "10.0.0.1"\nexternal.bind.address = "10.0.0.2"', "http.bind.address", "10.0.0.2"),
        ('[device]\nkey_path = "/k"', "aws.device.key_path", "/k"),
        ('nosuch = 1\n[c8y]\nother.thing = "x"', "c8y.url", None),
    ],
)
def test_values_of_files(tmp_path: Path, text: str, name: str, value: Value | None) -> None:
    assert config.load(write(tmp_path, text)).get(name) == value


def test_the_files_of_a_device_lie_beside_its_configuration(tmp_path: Path) -> None:
    settings = config.load(str(tmp_path))
    assert settings.need("az.device.csr_path") == f"{tmp_path}/device-certs/tedge.csr"
    assert settings.need("c8y.credentials_path") == f"{tmp_path}/credentials.toml"


def test_without_a_file_defaults_hold(tmp_path: Path) -> None:
    assert config.load(str(tmp_path)).seconds("certificate.validity.minimum_duration") == 30 * 86_400


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("c8y = [", "", "is not valid TOML: line 1, column 8: .*expected a value.*`sudo editor \\+1 .*toml` opens it"),
        ("[c8y]\nurl = ", "", "not valid TOML: line 2, column 6: expected a value: text in quotes"),
        ("[c8y]\n\nurl = a.example", "", "line 3, column 7: expected a value: text in quotes"),
        ("[c8y]\n[c8y]", "", "line 2, column 5: this table is there twice; write each \\[table\\] once"),
        ('[c8y]\nurl = "a\nb = 1', "", "line 2, column 9: this character is not allowed here; a text ends"),
        ("a = 1\na = 2", "", "line 2, column 6: this key is there twice"),
        ("[c8y]\nurl = 'a' b", "", "expected the end of the line after the value; text needs quotes"),
        ("c8y", "", "expected = after the key"),
        ("= 1", "", "line 1, column 1: expected a key with = and a value, or a \\[table\\]"),
        ("a = " + "[" * 5000, "", "is not valid TOML: line 1"),
        ("[c8y]\nurl = 5", "c8y.url", "c8y.url is a number, expected text in quotes"),
        ("[device]\ntype = 5", "device.type", "device.type is a number, expected text"),
        ("[device]\ntype = 1.5", "device.type", "has a value of the wrong type"),
        ("[device.type]\nx = 1", "device.type", "has a value of the wrong type"),
        ("device = 1", "device.type", "expected a table above device.type"),
        ('[mqtt.bind]\nport = "1883"', "mqtt.bind.port", "is text in quotes, expected a number"),
        ("[mqtt.bind]\nport = 70000", "mqtt.bind.port", "expected a port number"),
        ("[mqtt.bind]\nport = true", "mqtt.bind.port", "expected a port number"),
        ("[c8y.smartrest]\ntemplates = 5", "c8y.smartrest.templates", "is a number, expected a list"),
        ("[c8y.smartrest]\ntemplates = [1]", "c8y.smartrest.templates", "wrong type"),
        (
            '[certificate.validity]\nminimum_duration = "30 apples"',
            "certificate.validity.minimum_duration",
            "such as 30d",
        ),
        ("[certificate.validity]\nminimum_duration = -1", "certificate.validity.minimum_duration", "such as 30d"),
        ('[device]\nid = "a:b"', "device.id", "device.id = 'a:b': a device id has only"),
        ('[c8y.bridge]\ntopic_prefix = "c8y\\nlistener 1"', "c8y.bridge.topic_prefix", "without line breaks"),
    ],
)
def test_says_what_is_wrong_with_a_file(tmp_path: Path, text: str, name: str, said: str) -> None:
    directory = write(tmp_path, text)
    with pytest.raises(ConfigurationError, match=said) as raised:
        config.load(directory).get(name)
    assert f"{directory}/tedge.toml" in str(raised.value)
    assert raised.value.exit_code == FAILURE


def test_the_words_of_a_bad_file_are_not_those_of_the_parser(tmp_path: Path) -> None:
    """Each mistake that the parser knows gets words of ours, without the notation of Python."""
    mistakes = [
        "[c8y", "[[c8y", "a.b = 1\n[a]", "a = {b = 1}\n[a.c]", "a = 1\n[a.b]", "a = 1\na.b = 2", "a = {b = 1, b = 2}",
        "a = {b = 1",
        "a = '", 'a = "', "a = '\'\'x", 'a = "\\q"', 'a = "\\u00g0"', 'a = "\\ud800"', "a = 2026-13-01", "a = \0",
        "# \0", "a = [1", "a = 1 2", "a b = 1", ". = 1", "[a]\n[a.b]\n[a]", "[[a]]\n[a]", "a = []\n[[a]]", "a = nan1",
    ]  # fmt: skip
    for each in mistakes:
        with pytest.raises(
            ConfigurationError, match=r"is not valid TOML: line \d+, column \d+: \w[^`]+; `sudo editor"
        ) as raised:
            config.load(write(tmp_path, each))
        said = str(raised.value).partition("column")[2].partition("`")[0]
        assert not set(said) & set("\\'\"()"), (each, said)
        assert "this is not allowed here" not in said, (each, said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"[c8y]\nurl = '\xff'",
            "is not UTF-8: line 2, column 8 has the byte 0xff; .*`sudo iconv -f LATIN1 -t UTF-8 -o ",
        ),
        ("[c8y]".encode("utf-16"), "is in UTF-16, expected UTF-8: `sudo iconv -f UTF-16 -t UTF-8 -o .*` converts it"),
        ("[c8y]".encode("utf-16-le"), "is in UTF-16, .*iconv -f UTF-16LE "),
        ("[c8y]".encode("utf-16-be"), "is in UTF-16, .*iconv -f UTF-16BE "),
    ],
)
def test_says_what_is_wrong_with_a_file_that_is_no_text(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "tedge.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=said) as raised:
        config.load(str(tmp_path))
    words = str(raised.value).partition("`")[2].partition("`")[0]
    if "UTF-16" in words:
        subprocess.run(words.replace("sudo ", ""), shell=True, check=True)  # noqa: S602 (as a person types it)
        assert file.read_bytes().removeprefix(config.BOM) == b"[c8y]"


def test_skips_the_mark_at_the_beginning_of_a_file(tmp_path: Path) -> None:
    for text in ("", "[c8y]\nurl = 'a.example'"):
        (tmp_path / "tedge.toml").write_bytes(config.BOM + text.encode())
        assert config.load(str(tmp_path)).get("c8y.url") == ("a.example" if text else None)


def test_says_that_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "tedge.toml").mkdir()
    with pytest.raises(ConfigurationError, match=r"cannot read .*/tedge.toml: Is a directory"):
        config.load(str(tmp_path))


@given(st.text(max_size=60))
def test_any_text_is_a_configuration_or_a_configuration_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    directory = write(tmp_path_factory.getbasetemp() / "any", text.encode("utf-8", "replace").decode())
    try:
        config.load(directory).get("c8y.mqtt")
    except ConfigurationError as error:
        assert directory in str(error)  # noqa: PT017 (only some of the texts are wrong)


@pytest.mark.parametrize(
    ("name", "near"),
    [("c8y.ur", "'c8y.url'"), ("devise.id", "'device.id'"), ("certificate.validity.minimum", "minimum_duration'")],
)
def test_an_unknown_key_names_the_nearest(tmp_path: Path, name: str, near: str) -> None:
    with pytest.raises(
        UnknownKeyError, match=f"unknown configuration key '{name}'; did you mean '.*{near[1:]}"
    ) as raised:
        config.load(str(tmp_path)).get(name)
    assert raised.value.exit_code == USAGE


def test_a_key_like_no_other_gets_no_advice(tmp_path: Path) -> None:
    with pytest.raises(UnknownKeyError, match=r"unknown configuration key 'zzz' \("):
        config.load(str(tmp_path)).get("zzz")


@pytest.mark.parametrize(
    ("name", "profile", "said"),
    [
        ("c8y.url", "", "no value for 'c8y.url'; set one with `sudo tedge config set c8y.url <value>`"),
        ("c8y.http", "", "no value for 'c8y.url'; set one with `sudo tedge config set c8y.url <value>`"),
        ("c8y.url", "p", "no value for 'c8y.profiles.p.url'; .*`sudo tedge config set c8y.url <value> --profile p`"),
    ],
)
def test_a_needed_value_that_is_missing_names_the_command(tmp_path: Path, name: str, profile: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        config.load(str(tmp_path), profile).need(name)
