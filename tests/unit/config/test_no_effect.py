# SPDX-License-Identifier: Apache-2.0
"""Settings without effect: keys with a typing mistake, and a private key in hardware."""

from pathlib import Path

import pytest

from tedge_cert.config import no_effect
from tedge_cert.config import settings as config
from tedge_cert.config.keys.table import KEYS, is_kept
from tedge_cert.config.toml_errors import editor_at
from tedge_cert.errors import ConfigurationError
from unit.local_device import ROOT


def load(directory: Path, text: str, profile: str = "") -> config.Config:
    (directory / "tedge.toml").write_text(text)
    return config.load(str(directory), profile)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[c8y]\nulr = 'a.example'", ("c8y.ulr", "c8y.url")),
        ("[device]\nkey_pth = '/k'", ("device.key_pth", "device.key_path")),
        (
            "[certificate.validity]\nminimum = '30d'",
            ("certificate.validity.minimum", "certificate.validity.minimum_duration"),
        ),
        ("[c8y.profiles.p]\nulr = 'a.example'", ("c8y.profiles.p.ulr", "c8y.url")),
        # Keys of others, of thin-edge itself, of earlier versions, and those that are right.
        ("[config]\nversion = '2'\n[mytool]\nsetting = 1\n[c8y]\nsomething.of.others = 1", None),
        ("[mqtt]\nport = 1884\n[c8y]\nurl = 'a.example'\n[c8y.profiles.p]\nurl = 'b.example'", None),
        ("", None),
    ],
)
def test_finds_keys_with_a_typing_mistake(tmp_path: Path, text: str, found: tuple[str, str] | None) -> None:
    settings = load(tmp_path, text)
    assert no_effect.misspelt(settings) == ([(settings.file, *found)] if found else [])


@pytest.mark.parametrize("cloud", ["c8y", "az"])
def test_finds_them_in_the_file_of_a_mapper(tmp_path: Path, cloud: str) -> None:
    mapper = tmp_path / f"mappers/{cloud}/mapper.toml"
    mapper.parent.mkdir(parents=True)
    mapper.write_text(f"cloud_type = '{cloud}'\nulr = 'a.example'\nmapper.mqtt.max_payload_size = 5\n")
    settings = load(tmp_path, f"[{cloud}]\nurl = 'left.example'\n")
    assert settings.unread() == [cloud]
    assert no_effect.misspelt(settings) == [(str(mapper), f"{cloud}.ulr", f"{cloud}.url")]


def test_the_editor_opens_the_line_of_a_key(tmp_path: Path) -> None:
    file = tmp_path / "tedge.toml"
    file.write_text("# url\n[c8y]\nhttp = 'url'\n  ulr = 'x'\n")
    assert editor_at(str(file), "c8y.ulr") == f"sudo editor +4 {file}"
    assert editor_at(str(file), "c8y.missing") == f"sudo editor +1 {file}"


@pytest.mark.parametrize(
    ("text", "profile", "setting"),
    [
        ("[device]\nkey_uri = 'pkcs11:x'", "", "device.key_uri"),
        ("[device]\nkey_uri = 'pkcs11:x'", "p", "device.key_uri"),
        ("[c8y.device]\nkey_uri = 'pkcs11:x'", "", "c8y.device.key_uri"),
        ("[c8y.profiles.p.device]\nkey_uri = 'pkcs11:x'", "p", "c8y.profiles.p.device.key_uri"),
        ("[device.cryptoki]\nmode = 'module'", "", "device.cryptoki.mode"),
        ("[device.cryptoki]\nmode = 'socket'", "", "device.cryptoki.mode"),
        ("[device.cryptoki]\nmode = 'off'\nmodule_path = '/m.so'", "", ""),
        ("[c8y.device]\nkey_uri = 'pkcs11:x'", "p", ""),
        ("[az.device]\nkey_uri = 'pkcs11:x'", "", ""),
    ],
)
def test_a_key_in_hardware_is_refused(tmp_path: Path, text: str, profile: str, setting: str) -> None:
    settings = load(tmp_path, text, profile)
    assert no_effect.key_in_hardware(settings, "c8y") == setting
    if setting:
        with pytest.raises(
            ConfigurationError, match=f"{setting} says .* hardware.*`sudo tedge config unset {setting}`"
        ):
            no_effect.refuse_key_in_hardware(settings, "c8y")
    else:
        no_effect.refuse_key_in_hardware(settings, "c8y")


def test_nothing_reads_a_key_that_is_only_kept() -> None:
    library = [each.read_text() for each in (ROOT / "lib").rglob("*.py") if "keys" not in each.parts]
    kept = [name for name in KEYS if is_kept(name)]
    assert [name for name in kept if any(f'"{name}"' in text for text in library)] == []
    assert {"c8y.topics", "az.url", "device.key_pin", "aws.device.key_pin", "flows.stats.interval"} < set(kept)


def test_something_reads_a_key_that_acts() -> None:
    """By its whole name, or by its last part with the group before it in the same file."""
    library = [each.read_text() for each in (ROOT / "lib").rglob("*.py") if "keys" not in each.parts]
    acting = [name for name in KEYS if not is_kept(name)]
    unread = [
        name for name in acting if not any(f'"{name}"' in text or name.rpartition(".")[2] in text for text in library)
    ]
    assert unread == []
