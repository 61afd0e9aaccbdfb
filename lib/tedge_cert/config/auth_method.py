# SPDX-License-Identifier: Apache-2.0
"""By what the device proves to the tenant who it is; the hourly check asks too, so nothing slow is imported."""

import os

from tedge_cert.config.settings import Config


def is_basic(config: Config) -> bool:
    """Whether user and password stand in for a certificate (c8y.auth_method)."""
    method = config.need("c8y.auth_method")
    return method == "basic" or (method == "auto" and os.path.exists(config.need("c8y.credentials_path")))  # noqa: PTH110


def files(config: Config) -> list[str]:
    """What else than the configuration that depends on: the credentials that ``auto`` looks for."""
    return [config.need("c8y.credentials_path")] if config.need("c8y.auth_method") == "auto" else []
