# SPDX-License-Identifier: Apache-2.0
"""Take over the files of thin-edge, or of an earlier installation, when the package is configured.

``postinst`` runs this module. It must not make an installation fail, so an error is a warning; and it does not
interrupt a connection. Files that user tedge could write become root's before anything reads them. Our own files are
written again from the settings.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tedge_cert import journal, processes, systemd
from tedge_cert.bridge import conf_files, mosquitto_conf
from tedge_cert.commands import root_tasks
from tedge_cert.commands.root_tasks import Root
from tedge_cert.config import settings
from tedge_cert.config.keys.table import KEYS
from tedge_cert.device.connection_settings import files_of, mosquitto_of, tenant_of
from tedge_cert.device.instance import load_instance
from tedge_cert.disk import files, owners, privileges
from tedge_cert.disk.claim import claim
from tedge_cert.errors import TedgeCertError

_ETC = Path(settings.SYSTEM_DIRECTORY)
_CONF = _ETC / "mosquitto-conf"
# A device that thin-edge's mapper connected has the bridge's file, but no such line in it.
_CONNECTION = "connection "
# How a child says that mosquitto has to be restarted to use what it changed.
_CHANGED = 10


def adopt(first: bool) -> None:
    """Take over every connection; ``first``: no version of this package was installed before.

    Only then the hourly check of each connection is enabled: later, an administrator may have disabled it.
    """
    _attempt(_claim_settings)
    changed = [bool(_attempt(_claim_broker_files))]
    for file in sorted(_CONF.glob("c8y*-bridge.conf")):
        profile = file.name.removeprefix("c8y").removesuffix("-bridge.conf").removeprefix("@")
        changed.append(bool(_attempt(partial(_as_tedge, profile, partial(_take_over, profile, first)))))
    if not any(_CONF.glob("c8y*-bridge.conf")):
        _attempt(partial(_as_tedge, "", _restore_owners))
    if any(changed) and systemd.is_running():
        _attempt(partial(processes.run, ["deb-systemd-invoke", "try-restart", "mosquitto.service"]))


def _attempt(step: Callable[[], object]) -> object:
    try:
        return step()
    except (TedgeCertError, OSError) as error:
        journal.warning(str(error))
    except Exception as error:  # noqa: BLE001 (whatever tedge left in one place, the next one still becomes root's)
        journal.warning(f"{type(error).__name__}: {error}")
    return None


def _claim_settings() -> None:
    """Give the settings to root; name the paths in them that user tedge could choose until now."""
    claimed = claim(_ETC, only=["tedge.toml", "mappers"])
    for each in claimed.moved:
        journal.warning(f"{each} is no plain file, or too large, and was not read: look at it, then remove it")
    if claimed.files:
        journal.info(f"{_ETC / 'tedge.toml'} belongs to root now: change it by `sudo tedge config set KEY VALUE`")
        config = settings.load()
        for name, key in KEYS.items():
            if key.is_path and config.is_set(name):
                journal.warning(f"user tedge could set {name} until now: check it by `tedge config get {name}`")


def _claim_broker_files() -> bool:
    """Give the directory that mosquitto includes to root; return whether mosquitto has to be restarted for a link.

    A bridge that only root could write is linked as it is: an image may have no settings to write it from.
    """
    claimed = claim(_ETC, only=[_CONF.name])
    if claimed.moved:
        # It may have been a link itself, and mosquitto does not start without a directory that it includes.
        files.make_directory(_CONF, owners.DIRECTORY_OF_ROOT)
    for each in claimed.moved:
        journal.warning(f"{each} is no plain file, or too large, and mosquitto does not read it: remove it")
    for each in claimed.files:
        if each.suffix == ".conf" and not conf_files.is_ours(each):
            journal.warning(f"{each} is not from this package, and user tedge could write it until now: check it")
    tidied = conf_files.tidy_links(_CONF)
    roots = [each for each in sorted(_CONF.glob("*.conf")) if each not in claimed.files]
    return conf_files.link_up(filter(conf_files.is_ours, roots)) or tidied


def _as_tedge(profile: str, work: Callable[[], bool]) -> bool:
    """Run ``work`` as user tedge, with this process for root's tasks; return what it returns."""
    code = root_tasks.serve(profile)
    if code is not None:
        return code == _CHANGED
    changed = bool(_attempt(work))
    if privileges.has_parent():
        sys.stderr.flush()
        os._exit(_CHANGED if changed else 0)
    return changed


def _restore_owners() -> bool:
    Root(load_instance("c8y", "", known=False)).restore_owners()
    return False


def _take_over(profile: str, first: bool) -> bool:
    """Write the bridge of this profile again; return whether mosquitto has to be restarted to find it."""
    instance = load_instance("c8y", profile, known=False)
    root, of = Root(instance), files_of(instance)
    root.restore_owners()
    if first:
        # Without systemd running too: an image gets the link, and the device begins with its first boot.
        root.systemctl("enable", instance.timer)
        journal.info(f"{instance.bridge_file} is there: enabled {instance.timer}")
    if _CONNECTION not in (conf_files.bridge_placement(of).text() or ""):
        journal.warning(
            f"{instance.bridge_file} holds no bridge: thin-edge's mapper ran it; "
            f"`sudo tedge reconnect {instance.words}` moves it to mosquitto"
        )
        return False
    wanted = mosquitto_of(instance, tenant_of(instance))
    if conf_files.is_current(of, wanted):
        return False
    placements = (conf_files.listener_placement(of), conf_files.bridge_placement(of))
    unlinked = any(each.link is not None and not each.link.is_symlink() for each in placements)
    root.write_broker_files(mosquitto_conf.look(wanted))
    journal.info(f"{instance.bridge_file} is written from the settings; mosquitto reads it when it starts next")
    # A running broker that has a bridge is not interrupted.
    return unlinked


if __name__ == "__main__":
    adopt(first=sys.argv[1:] == ["first"])
