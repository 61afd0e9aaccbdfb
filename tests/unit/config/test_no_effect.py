# SPDX-License-Identifier: Apache-2.0
"""Settings without effect: a private key in hardware, and keys that only thin-edge reads."""

from pathlib import Path

import pytest

from tedge_cert.config import no_effect
from tedge_cert.config import settings as config
from tedge_cert.config.keys.table import KEYS, is_kept
from tedge_cert.errors import ConfigurationError
from unit.local_device import ROOT


def load(directory: Path, text: str, profile: str = "") -> config.Config:
    (directory / "tedge.toml").write_text(text)
    return config.load(str(directory), profile)


@pytest.mark.parametrize(
    ("text", "profile", "setting"),
    [
        ("[device]\nkey_uri = 'pkcs11:x'", "", "device.key_uri"),
        ("[device]\nkey_uri = 'pkcs11:x'", "p", "device.key_uri"),
        ("[c8y.device]\nkey_uri = 'pkcs11:x'", "", "c8y.device.key_uri"),
        ("[c8y.profiles.p.device]\nkey_uri = 'pkcs11:x'", "p", "c8y.profiles.p.device.key_uri"),
        ("[device]\nkey_uri = 'pkcs11:x'\n[device.cryptoki]\nmode = 'module'", "", ""),
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
            ConfigurationError, match=f"{setting} .*`sudo tedge config set device.cryptoki.mode module`"
        ):
            no_effect.refuse_key_in_hardware(settings, "c8y")
    else:
        no_effect.refuse_key_in_hardware(settings, "c8y")


def test_nothing_reads_a_key_that_is_only_kept() -> None:
    library = [each.read_text() for each in (ROOT / "lib").rglob("*.py") if "keys" not in each.parts]
    # A new key of the device replaces no key that another pair uses, so these paths are compared with its own.
    library.remove((ROOT / "lib/tedge_cert/device/rotation.py").read_text())
    kept = [name for name in KEYS if is_kept(name)]
    assert [name for name in kept if any(f'"{name}"' in text for text in library)] == []
    assert {"c8y.topics", "az.url", "az.device.key_pin", "aws.device.key_pin", "flows.stats.interval"} < set(kept)


def test_something_reads_a_key_that_acts() -> None:
    """By its whole name, or by its last part with the group before it in the same file."""
    library = [each.read_text() for each in (ROOT / "lib").rglob("*.py") if "keys" not in each.parts]
    acting = [name for name in KEYS if not is_kept(name)]
    unread = [
        name for name in acting if not any(f'"{name}"' in text or name.rpartition(".")[2] in text for text in library)
    ]
    assert unread == []
