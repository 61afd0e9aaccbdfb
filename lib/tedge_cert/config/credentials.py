# SPDX-License-Identifier: Apache-2.0
"""Read user name and password of the device for the tenant (c8y.credentials_path)."""

import os
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from tedge_cert import journal
from tedge_cert.disk import files, privileges
from tedge_cert.errors import ConfigurationError

_LIMIT_BYTES = 65_536


@dataclass(frozen=True)
class Credentials:
    """A user name and its password; ``repr`` leaves the password out."""

    username: str
    password: str = field(repr=False)


def load(path: Path) -> Credentials:
    """Read the credentials in the file at ``path``; raises ConfigurationError, which quotes nothing of the content."""
    if privileges.has_parent() and not os.access(path, os.R_OK):
        # A file that only root reads: its content goes into mosquitto's file, or to the tenant.
        return Credentials(*privileges.ask_root("read_credentials"))
    expected = 'expected TOML: a table [c8y] with username = "<tenant>/<user>" and password = "<password>"'
    try:
        tree = tomllib.loads(files.read_regular(path, _LIMIT_BYTES, follow=True).decode())
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the credentials file {path} (c8y.credentials_path): {error.strerror}; {expected}"
        ) from error
    except ValueError as error:
        # The message of the parser names places and keys, never a value.
        raise ConfigurationError(f"the credentials file {path} is malformed: {error}; {expected}") from error
    table = tree.get("c8y")
    found = [table.get(each) if isinstance(table, dict) else None for each in ("username", "password")]
    username, password = (each if isinstance(each, str) and each else "" for each in found)
    if not (username and password):
        raise ConfigurationError(f"the credentials file {path} is incomplete: {expected}")
    for name, text in (("username", username), ("password", password)):
        # Mosquitto's configuration has one line for each, and mosquitto drops blanks at the ends of a line.
        if not text.isprintable() or text != text.strip():
            raise ConfigurationError(
                f"the credentials file {path}: the {name} begins or ends with a blank, or contains a control "
                "character, which the configuration of mosquitto cannot hold; choose another"
            )
    if ":" in username:
        raise ConfigurationError(f"the credentials file {path}: the username has a colon, which HTTP Basic excludes")
    return Credentials(username, password)


def warn_if_exposed(path: Path) -> None:
    """Warn if every user of the device can read the password."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # `load` reports a file that cannot be read.
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        journal.warning(
            f"everybody on this device can read the password in {path} (mode {stat.S_IMODE(mode):04o}); "
            f"`chmod 600 {path}` ends that"
        )
