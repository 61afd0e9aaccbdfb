# SPDX-License-Identifier: Apache-2.0
"""Settings as earlier versions of thin-edge named and spelt them: read, changed in place, never lost."""

from pathlib import Path

import pytest

from tedge_cert.config import edit
from tedge_cert.config import settings as config
from tedge_cert.config.keys import flat
from tedge_cert.config.keys.table import KEYS, OLD_NAMES, present_name
from tedge_cert.errors import ConfigurationError
from unit.children import run

# A file with every section of the years before groups had tables of their own.
FILE = """
[device]
type = "press"
key.path = "/keys/press-key.pem"
[device.cert]
path = "/keys/press.pem"
[c8y]
url = "press.example"
smartrest_templates = ["start", "stop"]
enable.log_management = false
software_management.api = "Advanced"
[azure]
url = "press.azure.example"
mapper_timestamp = false
[aws]
root.cert.path = "/roots"
[mqtt]
bind_address = "0:0:0:0:0:0:0:1"
port = 1884
client_host = "broker.example"
client_port = 1885
client_ca_file = "/ca.pem"
client_ca_path = "/cas"
external_port = 8884
external_bind_address = "0.0.0.0"
external_bind_interface = "eth1"
external_capath = "/clients.pem"
external_certfile = "/server.pem"
external_keyfile = "/server-key.pem"
[mqtt.client_auth]
cert_file = "/client.pem"
key_file = "/client-key.pem"
[http]
port = 8002
bind_address = "127.0.0.2"
[software]
default_plugin_type = "apt"
[firmware]
child_update_timeout = 60
[apt.dpk.options]
config = "KeepNew"
"""
VALUES: dict[str, object] = {
    "device.type": "press",
    "device.key_path": "/keys/press-key.pem",
    "device.cert_path": "/keys/press.pem",
    "c8y.smartrest.templates": ["start", "stop"],
    "c8y.enable.log_upload": False,
    "c8y.software_management.api": "advanced",
    "az.url": "press.azure.example",
    "az.mapper.timestamp": False,
    "aws.root_cert_path": "/roots",
    "mqtt.bind.address": "::1",
    "mqtt.bind.port": 1884,
    "mqtt.client.host": "broker.example",
    "mqtt.client.port": 1885,
    "mqtt.client.auth.ca_file": "/ca.pem",
    "mqtt.client.auth.ca_dir": "/cas",
    "mqtt.client.auth.cert_file": "/client.pem",
    "mqtt.client.auth.key_file": "/client-key.pem",
    "mqtt.external.bind.port": 8884,
    "mqtt.external.bind.address": "0.0.0.0",
    "mqtt.external.bind.interface": "eth1",
    "mqtt.external.ca_path": "/clients.pem",
    "mqtt.external.cert_file": "/server.pem",
    "mqtt.external.key_file": "/server-key.pem",
    "http.bind.port": 8002,
    "http.bind.address": "127.0.0.2",
    "software.plugin.default": "apt",
    "firmware.child.update.timeout": "60",
    "apt.dpkg.options.config": "keepnew",
}


def load(directory: Path, text: str, profile: str = "") -> config.Config:
    (directory / "tedge.toml").write_text(text)
    return config.load(str(directory), profile)


def test_an_old_file_is_read_entirely(tmp_path: Path) -> None:
    settings = load(tmp_path, FILE)
    assert {name: settings.get(name) for name in VALUES} == VALUES


def test_no_two_keys_share_a_spelling() -> None:
    names = [*KEYS, *OLD_NAMES]
    assert len({flat(each) for each in names}) == len(names)
    assert [each for each in KEYS if present_name(each) != each] == []


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("device.key.path", "device.key_path"),
        ("c8y.root.cert.path", "c8y.root_cert_path"),
        ("mqtt.bind_address", "mqtt.bind.address"),
        ("mqtt.external.capath", "mqtt.external.ca_path"),
        ("azure.mapper_timestamp", "az.mapper.timestamp"),
        ("apt.dpk.options.config", "apt.dpkg.options.config"),
        ("c8y_url", "c8y.url"),
        ("c8y.ulr", ""),
    ],
)
def test_finds_the_present_name(typed: str, name: str) -> None:
    assert present_name(typed) == name


def test_an_old_name_is_read_and_set_by_the_command(tmp_path: Path) -> None:
    (tmp_path / "tedge.toml").write_text("# ours\n[mqtt]\nport = 1884 # of the press\n")
    got = run(["tedge-config", "get", "mqtt.port"], tmp_path)
    assert (got.exit, got.stdout) == (0, "1884\n")
    assert "'mqtt.port' is called 'mqtt.bind.port' now" in got.stderr
    assert run(["tedge-config", "set", "mqtt.bind.port", "1890"], tmp_path).exit == 0
    assert (tmp_path / "tedge.toml").read_text() == "# ours\n[mqtt]\nport = 1890 # of the press\n"
    assert run(["tedge-config", "unset", "mqtt.bind_port"], tmp_path).exit == 0
    assert "1890" not in (tmp_path / "tedge.toml").read_text()


@pytest.mark.parametrize(
    ("text", "profile", "name", "spellings"),
    [
        ("[mqtt]\nport = 1\nbind.port = 1", "", "mqtt.bind.port", ("mqtt.port", "mqtt.bind.port")),
        (
            "[device]\ncert_path = '/a'\ncert.path = '/a'",
            "",
            "device.cert_path",
            ("device.cert_path", "device.cert.path"),
        ),
        (
            "[apt]\ndpk.options.config = 'KeepOld'\ndpkg.options.config = 'KeepOld'",
            "",
            "apt.dpkg.options.config",
            ("apt.dpk.options.config", "apt.dpkg.options.config"),
        ),
        (
            "[c8y.profiles.p]\nsmartrest_templates = ['a']\nsmartrest.templates = ['a']",
            "p",
            "c8y.smartrest.templates",
            ("c8y.profiles.p.smartrest_templates", "c8y.profiles.p.smartrest.templates"),
        ),
    ],
)
def test_two_spellings_of_one_key_are_refused(
    tmp_path: Path, text: str, profile: str, name: str, spellings: tuple[str, str]
) -> None:
    settings = load(tmp_path, text, profile)
    with pytest.raises(ConfigurationError) as caught:
        settings.get(name)
    for each in (*spellings, settings.file, "sudo editor"):
        assert each in str(caught.value)
    before = (tmp_path / "tedge.toml").read_text()
    with pytest.raises(ConfigurationError, match="remove one of them"):
        edit.unset_value(settings, name)
    assert (tmp_path / "tedge.toml").read_text() == before


def test_two_variables_for_one_key_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEDGE_MQTT_PORT", "1884")
    assert load(tmp_path, "").get("mqtt.bind.port") == 1884
    monkeypatch.setenv("TEDGE_MQTT_BIND_PORT", "1884")
    with pytest.raises(ConfigurationError, match=r"TEDGE_MQTT_\w+ and TEDGE_MQTT_\w+"):
        load(tmp_path, "").get("mqtt.bind.port")


@pytest.mark.parametrize("version", ['"1"', '"2"'])
def test_known_versions_of_the_file_are_read(tmp_path: Path, version: str) -> None:
    assert load(tmp_path, f"[config]\nversion = {version}\n[mqtt]\nport = 1884").get("mqtt.bind.port") == 1884


@pytest.mark.parametrize("version", ['"3"', "2", '"unknown"'])
def test_another_version_of_the_file_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"config\.version = .*\"1\" or \"2\".*sudo editor \+2"):
        load(tmp_path, f"[config]\nversion = {version}\n[mqtt]\nport = 1884")


@pytest.mark.parametrize("value", ["legacy", "Legacy", "advanced", "Advanced"])
def test_a_word_is_read_in_capitals_too(tmp_path: Path, value: str) -> None:
    settings = load(tmp_path, f"[c8y]\nsoftware_management.api = '{value}'")
    assert settings.get("c8y.software_management.api") == value.lower()
