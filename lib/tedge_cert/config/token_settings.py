# SPDX-License-Identifier: Apache-2.0
"""Read which PKCS#11 token holds the private key, how it is reached, and with which PIN."""

from dataclasses import dataclass, field
from functools import partial

from tedge_cert.config import token_uri
from tedge_cert.config.settings import Config, key_for
from tedge_cert.errors import ConfigurationError

PIN_PATH, PIN, MODULE, MODE = (f"device.cryptoki.{each}" for each in ("pin_path", "pin", "module_path", "mode"))
KEY_URI, KEY_PIN = "device.key_uri", "device.key_pin"
KEY_URIS = (KEY_URI, f"c8y.{KEY_URI}")
_PIN_VALUE = "pin-value"
_SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"


@dataclass(frozen=True)
class TokenSettings:
    """The PKCS#11 library, the URI of the key or of its token (empty: none is set), and where the PIN is."""

    module: str
    uri: str
    # The file that holds the PIN; with a `pin`, root's part writes it there.
    pin_file: str
    pin: str = field(default="", repr=False)
    # The setting that holds the PIN; empty if a file does, or if it is the default.
    pin_setting: str = ""
    # Whether this cloud has another PIN than the device.
    has_own_pin: bool = False


def of(config: Config, cloud: str = "c8y") -> TokenSettings | None:
    """Return the settings for keys in a token; None if ``device.cryptoki.mode`` is off. Raises ConfigurationError."""
    if config.need(MODE) == "off":
        return None
    module = config.text(MODULE)
    if module is None:
        raise ConfigurationError(
            f"no value for {MODULE}, the PKCS#11 library of the token; set it, such as "
            f"`sudo tedge config set {MODULE} {_SOFTHSM}`"
        )
    name = next((each for each in _names(cloud) if config.get(each) is not None), "")
    found = _uri(config, name) if name else {}
    uri = token_uri.text_of({each: value for each, value in found.items() if each != _PIN_VALUE}) if found else ""
    own, shared = key_for(cloud, KEY_PIN), f"{config.directory}/token-pin"
    made = partial(TokenSettings, module, uri)
    if _PIN_VALUE in found or config.is_set(own):
        of_cloud = cloud and not (_PIN_VALUE in found and name == KEY_URI)
        file = f"{shared}-{cloud}{f'@{config.profile}' if config.profile else ''}" if of_cloud else shared
        if _PIN_VALUE in found:
            return made(file, found[_PIN_VALUE], config.full_name(name), bool(of_cloud))
        return made(file, config.need(own), config.full_name(own), bool(of_cloud))
    if (path := config.text(PIN_PATH)) is not None:
        return made(path)
    setting = KEY_PIN if config.is_set(KEY_PIN) else PIN
    # A default is no secret.
    return made(shared, config.need(setting), setting if config.is_set(setting) else "")


def _uri(config: Config, name: str) -> dict[str, str]:
    try:
        return token_uri.parse(config.need(name))
    except ValueError as error:
        raise ConfigurationError(f"{config.full_name(name)}: {error}") from error


def _names(cloud: str) -> list[str]:
    return [*([f"{cloud}.{KEY_URI}"] if cloud else []), KEY_URI, "device.cryptoki.uri"]
