# SPDX-License-Identifier: Apache-2.0
"""Read user name and password of the device for the tenant (c8y.credentials_path)."""

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tedge_cert import journal
from tedge_cert.config.values import parse_host
from tedge_cert.disk import files, privileges
from tedge_cert.errors import ConfigurationError

_LIMIT_BYTES, _PASSWORD_BYTES = 65_536, 4096


@dataclass(frozen=True)
class Credentials:
    """A user name and its password; ``repr`` leaves the password out."""

    username: str
    password: str = field(repr=False)
    # The hosts that the password is for; empty where the file names none.
    hosts: tuple[str, ...] = ()


def load_for(path: Path, asked: Mapping[str, str], table: str = "c8y") -> Credentials:
    """Read the credentials in the file at ``path`` for the hosts ``asked``, each under the key that names it.

    Otherwise a changed setting would send the password to another host. A file that names no host works, with a
    warning, because files of thin-edge name none. Raises ConfigurationError for a host that the file does not name.
    """
    found = load(path, table)
    if not found.hosts:
        _warn_once(f"{what_is_missing(path)}; {line_to_add(asked, table)}")
    for key, host in asked.items():
        if found.hosts and _plain(host) not in map(_plain, found.hosts):
            raise ConfigurationError(
                f"the password in {path} is for {' and '.join(found.hosts)}, but {key} is {host}: nothing was sent; "
                f"set {key} back, or `host` in the table [{table}] of the file to the host that may have the password"
            )
    return found


def what_is_missing(path: Path) -> str:
    """Say that the file names no host."""
    return f"the credentials file {path} does not say which host its password is for, so a changed setting redirects it"


def line_to_add(asked: Mapping[str, str], table: str = "c8y") -> str:
    """Return what to add to the file, for the hosts ``asked``."""
    hosts = [f'"{each}"' for each in dict.fromkeys(map(_plain, asked.values()))]
    value = hosts[0] if len(hosts) == 1 else f"[{', '.join(hosts)}]"
    return f"add to its table [{table}] the line: host = {value}"


@cache
def _warn_once(text: str) -> None:
    # One command may show the credentials several times.
    journal.warning(text)


def _plain(host: str) -> str:
    return host.lower().strip("[]").rstrip(".")


def load(path: Path, table: str = "c8y") -> Credentials:
    """Read the credentials in the file at ``path``; raises ConfigurationError, which quotes nothing of the content."""
    # Root reads only those that go into mosquitto's file, too.
    if table == "c8y" and privileges.has_parent() and not os.access(path, os.R_OK):
        # A file that only root reads: its content goes into mosquitto's file, or to the tenant.
        username, password, *hosts = privileges.ask_root("read_credentials")
        return Credentials(username, password, tuple(hosts))
    user = "<tenant>/<user>" if table == "c8y" else "<user>"
    expected = f'expected TOML: a table [{table}] with username = "{user}" and password = "<password>"'
    try:
        tree = tomllib.loads(files.read_regular(path, _LIMIT_BYTES, follow=True).decode())
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the credentials file {path} ({table}.credentials_path): {error.strerror}; {expected}"
        ) from error
    except ValueError as error:
        # The message of the parser names places and keys, never a value.
        raise ConfigurationError(f"the credentials file {path} is malformed: {error}; {expected}") from error
    entries = tree.get(table)
    found = [entries.get(each) if isinstance(entries, dict) else None for each in ("username", "password")]
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
    return Credentials(username, password, _hosts(path, table, entries))


def _hosts(path: Path, table: str, entries: object) -> tuple[str, ...]:
    value = entries.get("host") if isinstance(entries, dict) else None
    if value is None:
        return ()
    named = value if isinstance(value, list) else [value]
    try:
        hosts = tuple(str(parse_host(each)) for each in named if isinstance(each, str))
    except ValueError as error:
        raise ConfigurationError(f"the credentials file {path}: host in the table [{table}]: {error}") from error
    if not hosts or len(hosts) < len(named):
        raise ConfigurationError(
            f"the credentials file {path}: host in the table [{table}] is not text: expected the host that the "
            'password is for, such as host = "mytenant.cumulocity.com", or a list of hosts'
        )
    return hosts


def read_password(path: Path, setting: str, of: str) -> str:
    """Return the password in a file of its own, which ``setting`` names; raises ConfigurationError.

    ``of`` says who asks for it. A line break at the end is not part of it.
    """
    try:
        content = files.read_regular(path, _PASSWORD_BYTES, follow=True).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(
            f"cannot read the password for {of} in {path} ({setting}): {reason}; the renewal reads it as user "
            "tedge or group mosquitto"
        ) from error
    return content.rstrip("\r\n")


def is_exposed(path: Path) -> bool:
    """Return whether every user of the device can read or change the file."""
    try:
        return bool(path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH))
    except OSError:
        return False  # What reads the file reports that it cannot be read.


def warn_if_exposed(path: Path) -> None:
    """Warn if every user of the device can read the password."""
    if is_exposed(path):
        mode = stat.S_IMODE(path.stat().st_mode)
        journal.warning(
            f"everybody on this device can read the password in {path} (mode {mode:04o}); "
            f"`sudo chmod 600 {path}` ends that"
        )
