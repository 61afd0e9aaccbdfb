# SPDX-License-Identifier: Apache-2.0
"""Whether the settings want a new private key with each renewal."""

from tedge_cert.config.settings import Config


def is_wanted(config: Config, cloud: str = "") -> bool:
    """Return whether the certificate of ``cloud`` gets a new key with each renewal."""
    return config.get(key_of(cloud)) is True


def setting(config: Config, cloud: str = "") -> str:
    """Return the setting that says so, as it is set."""
    own = key_of(cloud)
    return config.full_name(own) if config.is_set(own) else "certificate.rotate_key"


def key_of(cloud: str) -> str:
    return "c8y.certificate.rotate_key" if cloud == "c8y" else "certificate.rotate_key"
