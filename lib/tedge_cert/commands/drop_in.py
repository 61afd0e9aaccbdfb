# SPDX-License-Identifier: Apache-2.0
"""Open the configured directories to the renewal, whose unit is confined, by a drop-in for the unit.

The drop-in opens directories: a single file would not do, because a certificate is replaced by renaming a file that
was written beside it (systemd.exec(5)).
"""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from tedge_cert import cures, journal, systemd
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners
from tedge_cert.errors import ConfigurationError, TedgeCertError

UNITS = Path("/etc/systemd/system")
# Not override.conf, which `systemctl edit` writes: a file for an instance hides that of the template.
NAME = "50-certificate-path.conf"
# What the unit may write without a drop-in.
_SHIPPED = ("/etc/tedge/device-certs", "/run/tedge-cert-renewer", "/var/lib/tedge-cert-renewer")
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 (named, not used)
# These hold what other programs rely on; opening one as a whole would end the unit's confinement.
_ROOTS = ("/", "/boot", "/dev", "/etc", "/home", "/proc", "/root", "/run", "/sys", "/tmp", "/usr", "/var")  # noqa: S108


def drop_in(instance: Instance) -> Path:
    """Return the path of the drop-in for the unit of this instance."""
    return UNITS / f"{instance.service}.d" / NAME


def text_of(instance: Instance) -> str:
    """Return the text of the drop-in; raises ConfigurationError for a directory that must not or cannot be opened."""
    directories = _elsewhere(instance)
    for each in directories:
        if {str(each), os.path.realpath(each)} & set(_ROOTS):
            is_key = each not in (instance.certificate.parent, instance.csr.parent)
            what, setting, file = (
                ("key", "key", instance.key) if is_key else ("certificate", "cert", instance.certificate)
            )
            raise ConfigurationError(
                f"{each} is not opened to the renewal as a whole; keep the {what} in a directory of its own, for "
                f"example `sudo tedge config set device.{setting}_path {each / 'tedge-certs' / file.name}`"
            )
    for each in [*_written(instance), instance.key.parent]:
        if _is_below(each, _TEMPORARY):
            raise ConfigurationError(
                f"{each} cannot be opened to the renewal, which has a /tmp of its own; keep certificates elsewhere"
            )
        if any(character in str(each) for character in "\"'\\"):
            raise ConfigurationError(f"{each} has a quote or backslash in its name; choose another directory")
    lines = [
        f"# Written by `sudo tedge connect {instance.words}`: lets the renewal write where the certificate is.",
        "[Service]",
        *(f'ReadWritePaths="-{str(each).replace("%", "%%")}"' for each in directories),
    ]
    if any(_is_below(each, _HOMES) for each in [*directories, instance.key.parent]):
        lines.append("ProtectHome=read-only")
    return "\n".join(lines) + "\n"


def update(instance: Instance) -> None:
    """Write the drop-in if the unit needs one, and remove one that it does not need any more; raises TedgeCertError.

    Directories that an administrator's own drop-in opens need none.
    """
    path = drop_in(instance)
    present = path.read_text(encoding="utf-8") if path.exists() else ""
    opened = sorted({*_elsewhere(instance), *([instance.key.parent] if _is_below(instance.key.parent, _HOMES) else [])})
    if not opened:
        remove(instance)
        return
    if not (present or _shut(instance)):
        return
    text = text_of(instance)
    if text == present:
        return
    try:
        files.make_directory(path.parent, owners.DIRECTORY_OF_ROOT)
    except OSError as error:
        raise TedgeCertError(
            f"cannot write {path}, without which {_listed(opened)} is shut to the renewal: {error.strerror}; "
            "run this command as root, or write it when the image is made"
        ) from error
    files.write(path, text.encode(), owners.BROKER_CONFIGURATION)
    systemd.systemctl("daemon-reload")
    journal.say(f"{path} opens {_listed(opened)} to the renewal")


def remove(instance: Instance) -> None:
    """Remove the drop-in, if there is one; raises TedgeCertError."""
    path = drop_in(instance)
    if files.remove(path):
        systemd.systemctl("daemon-reload")
        journal.say(f"removed {path}, which the renewal does not need any more")


def warn_if_shut(instance: Instance) -> None:
    """Warn if the renewal cannot write all the same, because of another drop-in or of an owner."""
    shut = _shut(instance)
    if shut:
        journal.warning(
            f"{_listed(shut)} is shut to the renewal: another drop-in of {instance.service} takes that away; "
            f"`systemctl cat {instance.service}` shows which"
        )
    for each in _written(instance):
        if not _is_writable(each):
            journal.warning(
                f"user tedge, as which the renewal runs, may not write in {each}; {cures.let_in(str(each))}"
            )


def hint(certificate: Path, words: str) -> str:
    """Return what to type after the certificate's path was set; empty if the renewal can write there anyway."""
    if certificate.parent == Path(_SHIPPED[0]):
        return ""
    return f"the renewal may not write in {certificate.parent} yet\n    => `sudo tedge reconnect {words}` lets it"


def _written(instance: Instance) -> list[Path]:
    # A new key is put beside the present one.
    of_key = {instance.key.parent} if instance.rotates_key else set()
    return sorted({instance.certificate.parent, instance.csr.parent, *of_key})


def _elsewhere(instance: Instance) -> list[Path]:
    return [each for each in _written(instance) if not _is_below(each, _SHIPPED)]


def _shut(instance: Instance) -> list[Path]:
    """Ask systemd which directories the renewal needs and cannot use, with all drop-ins that there are."""
    words = ["show", "--property=ProtectSystem,ProtectHome,ReadWritePaths", instance.service]
    try:
        said = systemd.systemctl(*words)
    except TedgeCertError as error:
        journal.debug(f"the confinement of {instance.service} is not known: {error}")
        return []
    facts = systemd.properties(said.splitlines())
    if facts.get("ProtectSystem") != "strict":
        return []
    open_paths = [each.strip('"').lstrip("-+") for each in shlex.split(facts.get("ReadWritePaths", ""))]
    hidden = _HOMES if facts.get("ProtectHome") in ("yes", "tmpfs") else ()
    written = _written(instance)
    return [
        each
        for each in sorted({*written, instance.key.parent})
        if _is_below(each, (*hidden, *_TEMPORARY)) or (each in written and not _is_below(each, open_paths))
    ]


def _is_below(path: Path, parents: Iterable[str]) -> bool:
    """Return whether ``path``, or what it is a link to, is one of ``parents`` or lies in one."""
    real = Path(os.path.realpath(path))
    return any(each.is_relative_to(parent) for each in (path, real) for parent in parents)


def _is_writable(directory: Path) -> bool:
    try:
        facts = directory.stat()
    except OSError:
        # The command that writes there says what is wrong.
        return True
    user, group = owners.account_ids(owners.CERTIFICATE)
    if facts.st_uid == user:
        return bool(facts.st_mode & 0o200)
    return bool(facts.st_mode & (0o020 if facts.st_gid == group else 0o002))


def _listed(paths: list[Path]) -> str:
    return " and ".join(str(each) for each in paths)
