# SPDX-License-Identifier: Apache-2.0
"""Take over the files of thin-edge, or of an earlier installation, when the package is configured.

``postinst`` runs this module. It must not make an installation fail, so an error is a warning; and it does not
interrupt a connection.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tedge_cert import journal, processes, systemd
from tedge_cert.bridge import conf_files
from tedge_cert.config import settings
from tedge_cert.device.instance import Instance, load_instance
from tedge_cert.disk import files, owners, privileges
from tedge_cert.errors import TedgeCertError

# A device that thin-edge's mapper connected has the bridge's file, but no such line in it.
_CONNECTION = "connection "


def check_accounts(instance: Instance) -> None:
    """Raise TedgeCertError if the accounts of the service are gone: it could not read what root writes.

    Purging thin-edge's package deletes them and all of /etc/tedge. The renewer then cannot start, and systemd takes
    that for an hour with nothing to do.
    """
    missing = privileges.missing_accounts()
    if missing and instance.config.is_of_system and os.geteuid() == 0:
        raise TedgeCertError(
            f"there is no {missing[0]} on this device, so nothing can renew its certificate; "
            "`apt install --reinstall tedge-cert-renewer` creates it, and restores what purging thin-edge's "
            "package deleted"
        )


def give_owners(instance: Instance) -> None:
    """Give key, certificate and configuration the owners and modes with which bridge and renewer can read them."""
    if instance.config.is_of_system:
        _give_owners_of_places(instance)
    elif instance.certificate.parent == Path(instance.config.directory) / "device-certs":
        owners.adapt(instance.certificate.parent, owners.SHARED_DIRECTORY, fixed=True)
    kinds = (
        (instance.key, owners.PRIVATE_KEY),
        (instance.certificate, owners.CERTIFICATE),
        (instance.csr, owners.CERTIFICATE),
    )
    for path, access in kinds:
        owners.adapt(path, access)


def _give_owners_of_places(instance: Instance) -> None:
    """Give the directories the owners of ``tmpfiles.d``, and their files other than key and certificate theirs."""
    etc, run = Path(settings.SYSTEM_DIRECTORY), Path("/run/tedge-cert-renewer")
    for path in (etc, etc / "mosquitto-conf"):
        owners.adapt(path, owners.DIRECTORY_OF_ROOT, fixed=True)
    for path in (etc / "device-certs", run, instance.state_file.parent):
        owners.adapt(path, owners.SHARED_DIRECTORY, fixed=True)
    owners.adapt(etc / "tedge.toml", owners.CONFIGURATION, fixed=True)
    for path in run.glob("*.lock"):
        owners.adapt(path, owners.LOCK)
    for placement in (conf_files.listener_placement(instance), conf_files.bridge_placement(instance)):
        owners.adapt(placement.file, conf_files.access_of(placement.text() or ""), fixed=True)


def tidy_links(directory: Path) -> bool:
    """Remove links to our ``directory`` that would keep the broker from starting; return whether there were any.

    A dangling link is an error for the broker, and a link to a file that its own configuration includes is a second
    listener on the same port.
    """
    if not conf_files.CONF_D.is_dir():
        return False
    twice = conf_files.includes(directory)
    ours = [each for each in conf_files.CONF_D.iterdir() if each.is_symlink() and each.readlink().parent == directory]
    bad = [each for each in ours if twice or not each.exists()]
    for link in bad:
        files.remove(link)
        journal.info(f"removed the link {link}, with which mosquitto would not start")
    return bool(bad)


def adopt(first: bool) -> None:
    """Take over every connection; ``first``: no version of this package was installed before.

    Only then the hourly check of each connection is enabled: later, an administrator may have disabled it.
    """
    directory = Path(settings.SYSTEM_DIRECTORY, "mosquitto-conf")
    _attempt(partial(owners.adapt, Path(settings.SYSTEM_DIRECTORY, "tedge.toml"), owners.CONFIGURATION, fixed=True))
    for profile in ["", *_profiles()]:
        _attempt(partial(_give_owners_of, profile))
    changed = [tidy_links(directory)]
    for file in sorted(directory.glob("c8y*-bridge.conf")):
        profile = file.name.removeprefix("c8y").removesuffix("-bridge.conf").removeprefix("@")
        changed.append(bool(_attempt(partial(_take_over, profile, first))))
    if any(changed) and systemd.is_running():
        _attempt(partial(processes.run, ["deb-systemd-invoke", "try-restart", "mosquitto.service"]))


def _attempt(step: Callable[[], object]) -> object:
    try:
        return step()
    except (TedgeCertError, OSError) as error:
        journal.warning(str(error))
        return None


def _profiles() -> list[str]:
    try:
        return settings.load().profiles()
    except TedgeCertError:
        # The error is reported for the default profile, which comes first.
        return []


def _give_owners_of(profile: str) -> None:
    give_owners(load_instance("c8y", profile))


def _take_over(profile: str, first: bool) -> bool:
    """Link the bridge of this profile; return whether the broker has to be restarted to find it."""
    instance = load_instance("c8y", profile, known=False)
    placements = (conf_files.listener_placement(instance), conf_files.bridge_placement(instance))
    _give_owners_of_places(instance)
    changed = [each.link_up() for each in placements if each.text() is not None]
    if first:
        systemd.systemctl("enable", instance.timer)
        journal.info(f"{instance.bridge_file} is there: enabled {instance.timer}")
    if _CONNECTION not in (placements[1].text() or ""):
        journal.warning(
            f"{instance.bridge_file} holds no bridge: thin-edge's mapper ran it; `tedge reconnect {instance.words}` "
            "moves it to mosquitto"
        )
    return any(changed)


if __name__ == "__main__":
    adopt(first=sys.argv[1:] == ["first"])
