# SPDX-License-Identifier: Apache-2.0
"""Find settings that have no effect: keys with a typing mistake, and a private key in hardware.

The hourly check asks about the private key, so nothing slow is imported at the top.
"""

from tedge_cert.config.settings import Config, cloud_of
from tedge_cert.errors import ConfigurationError

# How alike an unknown key and a known one are, if a person meant the known one.
_ALIKE = 0.8


def key_in_hardware(config: Config, cloud: str = "") -> str:
    """Return the setting that says that the private key is in hardware; empty if the key is a file."""
    of_cloud = [f"{cloud}.device.key_uri"] if cloud else []
    for name in [*of_cloud, "device.key_uri"]:
        if config.get(name) is not None:
            return config.full_name(name)
    return "" if config.need("device.cryptoki.mode") == "off" else "device.cryptoki.mode"


def refuse_key_in_hardware(config: Config, cloud: str = "") -> None:
    """Raise ConfigurationError if the settings say that the private key is in hardware.

    To go on with the key file would use another key than the settings name, or make one.
    """
    setting = key_in_hardware(config, cloud)
    if setting:
        raise ConfigurationError(
            f"{what_of_hardware(setting)}: nothing was changed; `sudo {cure_of_hardware(setting)}` chooses the key file"
        )


def what_of_hardware(setting: str) -> str:
    return f"{setting} says that the private key is in hardware, which this version cannot use"


def cure_of_hardware(setting: str) -> str:
    return f"tedge config unset {setting}"


def misspelt(config: Config) -> list[tuple[str, str, str]]:
    """Return the keys in the files that nothing knows and that resemble a known one: file, key, and the known one."""
    from difflib import get_close_matches

    from tedge_cert.config.keys.table import KEYS, OLD_NAMES

    found = []
    for path, tree in config.trees.items():
        # The file of a mapper has the keys of the cloud that its directory is named after.
        above = "" if path == config.file else f"{path.split('/')[-2].partition('.')[0]}."
        for written in _names(tree or {}, above):
            cloud, parts = cloud_of(written), written.split(".")
            is_profile = cloud and parts[1] == "profiles" and len(parts) > 3
            name = ".".join([cloud, *parts[3:]]) if is_profile else written
            if name not in KEYS and name not in OLD_NAMES:
                near = get_close_matches(name, KEYS, 1, _ALIKE)
                found += [(path, written, each) for each in near]
    return found


def what_of_misspelt(file: str, name: str, near: str) -> str:
    return f"{name} in {file} has no effect, as there is no such key; did you mean {near}?"


def _names(tree: dict[str, object], above: str) -> list[str]:
    """Return the full names of all values."""
    found = []
    for name, value in tree.items():
        found += _names(value, f"{above}{name}.") if isinstance(value, dict) else [f"{above}{name}"]
    return found
