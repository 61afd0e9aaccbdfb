# SPDX-License-Identifier: Apache-2.0
"""Whether the renewal, confined as its unit is, can write where the certificate is kept, and the drop-in that lets it.

A single file would not do: what replaces a certificate is made beside it, under another name (systemd.exec(5)).
"""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from tedge_cert import journal, systemd
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners
from tedge_cert.errors import ConfigurationError, TedgeCertError

UNITS = Path("/etc/systemd/system")
# Not override.conf: that is what `systemctl edit` writes, and one for an instance hides one of the template.
NAME = "50-certificate-path.conf"
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 (named, not used)


def drop_in(instance: Instance) -> Path:
    """Where the drop-in of this instance belongs."""
    return UNITS / f"{instance.service}.d" / NAME


def text_of(instance: Instance) -> str:
    """The drop-in; raises ConfigurationError for a directory that no drop-in can open."""
    directories = _written(instance)
    for each in [*directories, instance.key.parent]:
        if _is_below(each, _TEMPORARY):
            raise ConfigurationError(
                f"{each} cannot be opened to the renewal, which has a /tmp of its own; keep certificates elsewhere"
            )
        if any(character in str(each) for character in "\"'\\"):
            raise ConfigurationError(f"{each} has a quote or backslash in its name; choose another directory")
    lines = [
        f"# Written by `tedge connect {instance.words} --allow-path`: lets the renewal write where the certificate is.",
        "[Service]",
        *(f'ReadWritePaths="-{str(each).replace("%", "%%")}"' for each in directories),
    ]
    if any(_is_below(each, _HOMES) for each in [*directories, instance.key.parent]):
        lines.append("ProtectHome=read-only")
    return "\n".join(lines) + "\n"


def allow(instance: Instance) -> None:
    """Write the drop-in and have systemd read it; raises TedgeCertError."""
    path = drop_in(instance)
    text = text_of(instance)
    if not systemd.is_running():
        raise TedgeCertError(f"no service manager: there is no unit that {path} could open a directory to")
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    files.write(path, text.encode(), owners.BROKER_CONFIGURATION)
    systemd.systemctl("daemon-reload")
    journal.say(f"{path} lets the renewal write in {_listed(_written(instance))}")


def warn_if_shut(instance: Instance) -> None:
    """Say so where the renewal could not write, as its unit is now, and what helps."""
    shut = _shut(instance)
    if shut:
        command = f"tedge reconnect {instance.words} --allow-path"
        journal.warning(
            f"the renewal cannot write in {_listed(shut)}: {instance.service} is confined to the directories of its "
            f"ReadWritePaths=; `{command}` writes the drop-in {drop_in(instance)} that opens it"
        )
    for each in sorted({instance.certificate.parent, instance.csr.parent}):
        if not _is_writable(each):
            journal.warning(
                f"user tedge, as which the renewal runs, may not write in {each}; "
                f"`chown tedge:mosquitto {shlex.quote(str(each))}` lets it"
            )


def hint(certificate: Path) -> str:
    """What to say when somebody moves the certificate; empty where the renewal can write anyway."""
    if certificate.parent == Path("/etc/tedge/device-certs"):
        return ""
    return (
        f"the unit that renews the certificate may not write in {certificate.parent}; `tedge connect c8y "
        "--allow-path` (or `tedge reconnect c8y --allow-path`) lets it, by a drop-in"
    )


def _written(instance: Instance) -> list[Path]:
    return sorted({instance.certificate.parent, instance.csr.parent})


def _shut(instance: Instance) -> list[Path]:
    """The directories that the renewal needs to write in, but cannot."""
    words = ["show", "--property=ProtectSystem,ProtectHome,ReadWritePaths", instance.service]
    try:
        said = systemd.systemctl(*words)
    except TedgeCertError as error:
        journal.debug(f"how {instance.service} is confined is not known: {error}")
        return []
    facts = dict(line.partition("=")[::2] for line in said.splitlines())
    if facts.get("ProtectSystem") != "strict":
        return []
    open_paths = [each.strip('"').lstrip("-+") for each in shlex.split(facts.get("ReadWritePaths", ""))]
    hidden = _HOMES if facts.get("ProtectHome") in ("yes", "tmpfs") else ()
    return [
        each
        for each in _written(instance)
        if not _is_below(each, open_paths) or _is_below(each, hidden) or _is_below(each, _TEMPORARY)
    ]


def _is_below(path: Path, parents: Iterable[str]) -> bool:
    """Whether ``path``, or what it is a link to, is one of ``parents`` or lies in one."""
    real = Path(os.path.realpath(path))
    return any(each.is_relative_to(parent) for each in (path, real) for parent in parents)


def _is_writable(directory: Path) -> bool:
    try:
        facts = directory.stat()
    except OSError:
        return True  # Whoever writes there says what is wrong.
    user, group = owners.account_ids(owners.CERTIFICATE)
    if facts.st_uid == user:
        return bool(facts.st_mode & 0o200)
    return bool(facts.st_mode & (0o020 if facts.st_gid == group else 0o002))


def _listed(paths: list[Path]) -> str:
    return " and ".join(str(each) for each in paths)
