# SPDX-License-Identifier: Apache-2.0
"""Refuse a private key that the settings place where this package cannot use it.

The hourly check asks about the private key, so nothing slow is imported at the top.
"""

from tedge_cert import beside
from tedge_cert.config.settings import Config
from tedge_cert.errors import ConfigurationError

_MODE = "device.cryptoki.mode"
_TO_MODULE = f"sudo tedge config set {_MODE} module"


def key_in_hardware(config: Config, cloud: str = "") -> str:
    """Return the setting that places the private key where it cannot be used; empty if it can.

    A key in a token can, by its PKCS#11 library. Beside thin-edge it cannot: the settings are those of its mapper.
    """
    mode = config.need(_MODE)
    if mode == "module" and not beside.is_beside():
        return ""
    of_cloud = [f"{cloud}.device.key_uri"] if cloud else []
    for name in [*of_cloud, "device.key_uri"]:
        if config.get(name) is not None and (mode == "off" or beside.is_beside()):
            return config.full_name(name)
    return "" if mode == "off" else _MODE


def refuse_key_in_hardware(config: Config, cloud: str = "") -> None:
    """Raise ConfigurationError if the settings place the private key where it cannot be used.

    To go on with the key file would use another key than the settings name, or make one.
    """
    setting = key_in_hardware(config, cloud)
    if setting:
        cure = f"`{cure_of_hardware()}`"
        does = "gives thin-edge its own renewal back, which can" if beside.is_beside() else "uses the token"
        raise ConfigurationError(f"{what_of_hardware(setting)}: nothing was changed; {cure} {does}{_or_file(setting)}")


def what_of_hardware(setting: str) -> str:
    if beside.is_beside():
        return f"{setting} says that the private key is in hardware, which this version cannot use"
    if setting == _MODE:
        return (
            f"{_MODE} is socket, the signing service of thin-edge, and mosquitto and OpenSSL reach a token only by its "
            "library (module)"
        )
    return f"{setting} says that the private key is in a token, but {_MODE} is off"


def cure_of_hardware() -> str:
    return "sudo apt remove tedge-cert-renewer-beside" if beside.is_beside() else _TO_MODULE


def _or_file(setting: str) -> str:
    return "" if beside.is_beside() or setting == _MODE else f", `sudo tedge config unset {setting}` the key file"
