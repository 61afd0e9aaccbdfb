# SPDX-License-Identifier: Apache-2.0
"""``tedge init``: create the users and directories of the package where systemd-sysusers and -tmpfiles do not run.

It reads the same files as these two.
"""

import grp
import os
import pwd
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from tedge_cert import journal, processes
from tedge_cert.disk import files, owners
from tedge_cert.errors import ConfigurationError, TedgeCertError

# The files lie beside the directory of the package, which may be installed anywhere.
_LIB = Path(__file__).resolve().parents[3]
SYSUSERS = _LIB / "sysusers.d/tedge-cert-renewer-common.conf"
TMPFILES = tuple(_LIB / f"tmpfiles.d/tedge-cert-renewer{each}.conf" for each in ("", "-common"))
ETC = "/etc/tedge"
OWNER = "tedge"


def check_owners(user: str | None, group: str | None) -> None:
    """Raise ConfigurationError for owners other than the ones that the units run as."""
    for option, name in (("--user", user), ("--group", group)):
        if name not in (None, OWNER):
            raise ConfigurationError(
                f"{option} {name}: the files can only belong to '{OWNER}', as which the renewal runs; "
                f"leave {option} out"
            )


def initialise(config_dir: str, sysusers: Path = SYSUSERS, tmpfiles: Sequence[Path] = TMPFILES) -> None:
    """Create what is missing, and give the directories their owners and modes; raises TedgeCertError."""
    if os.geteuid() != 0:
        raise TedgeCertError("this needs root: sudo tedge init")
    config_dir = (config_dir or os.environ.get("TEDGE_CONFIG_DIR", "")).rstrip("/")
    accounts, places = _lines(sysusers), [line for each in tmpfiles for line in _lines(each)]
    # The group of a line may be that of a user in an earlier line.
    for kind, name, *rest in accounts:
        _make_account(kind, name, *rest[1:])
    for kind, path, mode, user, group, *_ in places:
        if kind != "d":
            continue
        here = Path(config_dir + path.removeprefix(ETC) if config_dir and path.startswith(ETC) else path)
        _make_directory(here, owners.Access(user, group, int(mode, 8)))
    if (system := Path(config_dir or ETC) / "system.toml").exists():
        # A device of thin-edge may have one, and its owner expects other users and services from it.
        journal.warning(f"{system} has no effect: the files belong to '{OWNER}', and the service manager is systemd")


def _lines(path: Path) -> list[list[str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise TedgeCertError(f"cannot read {path}: {error.strerror}; reinstall the package") from error
    return [shlex.split(line) for line in lines if line and not line.startswith("#")]


def _make_account(kind: str, name: str, comment: str = "", home: str = "/", shell: str = "/usr/sbin/nologin") -> None:
    if not _exists(grp.getgrnam, name):
        _run("groupadd", "--system", name)
    if kind == "u" and not _exists(pwd.getpwnam, name):
        options = ["--system", "--no-create-home", "--gid", name]
        _run("useradd", *options, "--comment", comment, "--home-dir", home, "--shell", shell, name)


def _exists(look_up: Callable[[str], object], name: str) -> bool:
    try:
        look_up(name)
    except KeyError:
        return False
    return True


def _run(*command: str) -> None:
    done = processes.run(list(command))
    if done.returncode != 0:
        raise TedgeCertError(f"`{shlex.join(command)}` failed: {done.stderr.strip()}")


def _make_directory(path: Path, access: owners.Access) -> None:
    try:
        files.make_directory(path, access, owners.DIRECTORY_OF_ROOT)
    except OSError as error:
        raise TedgeCertError(f"cannot create the directory {path}: {error.strerror}") from error
    owners.give(path, access)
