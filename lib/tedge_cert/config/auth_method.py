# SPDX-License-Identifier: Apache-2.0
"""Decide whether the device authenticates by certificate or by user and password.

The hourly check uses this module, so it imports nothing slow.
"""

import os

from tedge_cert.config.settings import Config


def is_basic(config: Config) -> bool:
    """Return whether the device uses user and password instead of a certificate."""
    method = config.need("c8y.auth_method")
    return method == "basic" or (method == "auto" and os.path.exists(config.need("c8y.credentials_path")))  # noqa: PTH110


def files(config: Config) -> list[str]:
    """List the files that decide this beside the configuration: the credentials that ``auto`` looks for."""
    return [config.need("c8y.credentials_path")] if config.need("c8y.auth_method") == "auto" else []
