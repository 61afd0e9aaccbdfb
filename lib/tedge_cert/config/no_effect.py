# SPDX-License-Identifier: Apache-2.0
"""Refuse a private key in hardware: a setting that cannot be honoured.

The hourly check asks about the private key, so nothing slow is imported at the top.
"""

from tedge_cert import beside
from tedge_cert.config.settings import Config
from tedge_cert.errors import ConfigurationError


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
        cure = f"`sudo {cure_of_hardware(setting)}`"
        does = "gives thin-edge its own renewal back, which can" if beside.is_beside() else "chooses the key file"
        raise ConfigurationError(f"{what_of_hardware(setting)}: nothing was changed; {cure} {does}")


def what_of_hardware(setting: str) -> str:
    return f"{setting} says that the private key is in hardware, which this version cannot use"


def cure_of_hardware(setting: str) -> str:
    return "apt remove tedge-cert-renewer-beside" if beside.is_beside() else f"tedge config unset {setting}"
