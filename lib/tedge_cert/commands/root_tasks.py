# SPDX-License-Identifier: Apache-2.0
"""Do root's part of a command: mosquitto's files, systemd, root's password file, owners. The rest runs as tedge.

Each task takes its paths, units and settings from root's own side: the command line that root typed, ``tedge.toml``,
and this file. The command, which has become tedge, hands over only what it found out; that is checked here again.
Without root's rights (a trial with a configuration elsewhere) the same functions run within the command.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from tedge_cert import journal, processes, systemd
from tedge_cert.bridge import broker_failure, conf_files, mosquitto_conf
from tedge_cert.bridge.mosquitto_conf import Found
from tedge_cert.commands import drop_in, provider_files
from tedge_cert.config import token_settings, token_uri
from tedge_cert.config.settings import SYSTEM_DIRECTORY
from tedge_cert.device import ownership
from tedge_cert.device.connection_settings import files_of, mosquitto_of, tenant_of
from tedge_cert.device.instance import Instance, connectable_id, load_config, load_instance
from tedge_cert.disk import files, owners, privileges
from tedge_cert.disk.claim import claim
from tedge_cert.disk.privileges import Task
from tedge_cert.errors import ConfigurationError, TedgeCertError
from tedge_cert.x509 import provider

_MOSQUITTO = broker_failure.UNIT
_UNITS = re.compile(r"mosquitto\.service|tedge-cert-(renewer|renewer-c8y)@[A-Za-z0-9_-]+\.(service|timer)")
_VERBS = {
    ("show",), ("enable",), ("enable", "--now"), ("disable", "--now"), ("start",), ("restart",), ("reset-failed",),
}  # fmt: skip
# What mosquitto's files held before this command changed them, to be restored if mosquitto does not start.
_before: list[tuple[conf_files.Placement, str | None]] = []


class Root:
    """Root's part of a command for one instance, done by the parent that kept root's rights, or here without one."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def _do(self, task: str, **values: object) -> Any:
        if privileges.has_parent():
            return privileges.ask_root(task, **values)
        return _TASKS[task](lambda: self._instance, **values)

    def write_broker_files(self, found: Found) -> None:
        """Write mosquitto's files from the settings and from what was ``found``; raises TedgeCertError."""
        self._do("write_broker_files", **vars(found))

    def restore_broker_files(self) -> None:
        """Give mosquitto's files what they held before ``write_broker_files``."""
        self._do("restore_broker_files")

    def remove_bridge(self) -> None:
        """Remove the bridge's file and the link to it."""
        self._do("remove_bridge")

    def tidy_links(self) -> bool:
        """Remove links with which mosquitto would not start; return whether there were any."""
        return bool(self._do("tidy_links"))

    def restore_owners(self) -> None:
        """Restore owners and modes of directories and of the files in ``/etc/tedge/device-certs``."""
        self._do("restore_owners")

    def update_drop_in(self) -> None:
        """Write or remove the drop-in that opens configured directories to the renewal."""
        self._do("update_drop_in")

    def remove_drop_in(self) -> None:
        self._do("remove_drop_in")

    def update_provider(self, tpm: bool) -> bool:
        """Write what OpenSSL, mosquitto and the renewal need for a key in the TPM or in a token.

        Returns whether it had changed.
        """
        return bool(self._do("update_provider", tpm=tpm))

    def can_broker_sign(self) -> bool:
        """Return whether user mosquitto can use the private key in the token, whose PIN is known to be right."""
        return bool(self._do("can_broker_sign"))

    def set_key_uri(self, setting: str, uri: str) -> None:
        """Store the URI of the key in the token as ``setting``, that of the device or of the cloud."""
        self._do("set_key_uri", setting=setting, uri=uri)

    def systemctl(self, *words: str) -> str:
        """Run systemctl with one of the verbs and units above; raises TedgeCertError with what it said."""
        return str(self._do("systemctl", words=list(words)))

    def reset_failed(self) -> None:
        """Have systemd forget that the renewal of this instance failed; one that it does not know has not failed."""
        try:
            self.systemctl("reset-failed", self._instance.service)
        except TedgeCertError as error:
            journal.debug(str(error))

    def restart_broker(self) -> None:
        """Restart mosquitto, however often that was done before.

        systemd refuses the sixth start within ten seconds and leaves the unit stopped (StartLimitBurst=). A script that
        connects and disconnects several profiles must not reach that limit.
        """
        self.systemctl("reset-failed", _MOSQUITTO)
        self.systemctl("restart", _MOSQUITTO)

    def why_broker_failed(self, since_s: int) -> str:
        """Return what mosquitto said since ``since_s``, and what to type; empty if it said nothing."""
        return str(self._do("why_broker_failed", since_s=since_s))

    def broker_is_installed(self) -> bool:
        """Return whether systemd knows mosquitto; a manager that does not answer is no reason to say otherwise."""
        try:
            return "LoadState=not-found" not in self.systemctl("show", "--property=LoadState", _MOSQUITTO)
        except TedgeCertError as error:
            journal.debug(str(error))
            return True


def serve(profile: str) -> int | None:
    """Fork a command of the system's configuration: None in the child that is tedge, its exit code in the parent."""
    if privileges.is_root():
        _restore_roots_files()
    # Not before the first task: a command with broken settings says so itself, as tedge.
    instance = cache(partial(load_instance, "c8y", profile, SYSTEM_DIRECTORY, known=False))
    return privileges.split({name: partial(task, instance) for name, task in _TASKS.items()})


def _restore_roots_files() -> None:
    """Restore owners and modes of the directories and of root's files, which the command, as tedge, has to read."""
    if systemd.is_running():
        # tmpfiles.d(5) knows the directories and the settings, and how to change them safely.
        processes.run(["systemd-tmpfiles", "--create", "tedge-cert-renewer-common.conf", "tedge-cert-renewer.conf"])
    directory = Path(SYSTEM_DIRECTORY) / "mosquitto-conf"
    ours = [each for each in sorted(directory.glob("*.conf")) if conf_files.is_ours(each)]
    if not ours:
        return
    try:
        claim(directory, only=[each.name for each in ours])
    except OSError as error:
        journal.warning(f"cannot give {directory} its owners and modes: {error.strerror}; mount it writable")
        return
    texts = {each.name: each.read_text(encoding="utf-8", errors="replace") for each in ours if each.is_file()}
    owners.restore(directory, {name: conf_files.access_of(text) for name, text in texts.items()})


def _write_broker_files(
    of: Callable[[], Instance],
    device_id: str,
    trust_is_directory: bool,
    external_trust_is_directory: bool,
    username: str,
    password: str,
) -> None:
    directories = trust_is_directory is True, external_trust_is_directory is True
    found = Found(connectable_id(device_id), *directories, username, password)
    instance = of()
    wanted, at = mosquitto_of(instance, tenant_of(instance, found.device_id)), files_of(instance)
    listener, bridge = conf_files.listener_placement(at), conf_files.bridge_placement(at)
    texts = mosquitto_conf.listener_text(wanted.listener, found), mosquitto_conf.bridge_text(wanted, found)
    _before[:] = [(listener, listener.text()), (bridge, bridge.text())]
    # It may hold a password. A temporary file of the listener is left: another profile may be writing it.
    files.remove_stale_temporaries(bridge.file)
    try:
        listener.put(texts[0])
        bridge.put(texts[1])
    except TedgeCertError:
        # A bridge's file that mosquitto does not know of would pass for a connection.
        _restore_broker_files(of)
        raise


def _restore_broker_files(_: Callable[[], Instance]) -> None:
    journal.warning("putting mosquitto's configuration back as it was")
    for placement, text in reversed(_before):
        try:
            placement.put(text)
        except TedgeCertError as error:
            # The command ends with what went wrong first.
            journal.warning(str(error))


def _remove_bridge(of: Callable[[], Instance]) -> None:
    placement = conf_files.bridge_placement(files_of(of()))
    placement.remove()
    files.remove_stale_temporaries(placement.file)


def _can_broker_sign(of: Callable[[], Instance]) -> bool:
    as_broker = ["setpriv", f"--reuid={owners.BROKER}", f"--regid={owners.BROKER}", "--init-groups", "--"]
    sign = ["openssl", "dgst", "-sha256", "-sign", str(of().key)]
    provider.enable(SYSTEM_DIRECTORY)
    return processes.pipe([*as_broker, *sign], b"tedge", provider.variables()).returncode == 0


def _set_key_uri(of: Callable[[], Instance], setting: str, uri: str) -> None:
    attributes = token_uri.parse(uri)
    if attributes.keys() - {*token_uri.OF_TOKEN, *token_uri.OF_KEY, "type"} or setting not in token_settings.KEY_URIS:
        raise ValueError("expected the URI of a key in a token")
    from tedge_cert.config import edit

    config = of().config
    with edit.alone(config):
        edit.set_value(load_config(of().cloud, config.profile, config.directory), setting, uri)


def _systemctl(_: Callable[[], Instance], words: list[str]) -> str:
    plain = [each for each in words if not each.startswith("--property=") and not _UNITS.fullmatch(each)]
    if tuple(plain) not in _VERBS:
        raise TedgeCertError(f"`systemctl {' '.join(map(str, words))}` is no task of this command")
    return systemd.systemctl(*words)


def _why_broker_failed(of: Callable[[], Instance], since_s: int) -> str:
    return broker_failure.sentence(int(since_s), of().config.need("mqtt.bind.port"), of().words)


def _read_credentials(of: Callable[[], Instance]) -> list[str]:
    """Read root's password file; raises ConfigurationError if others can write it, or a directory above it."""
    path = Path(of().config.need("c8y.credentials_path"))
    if not owners.is_only_roots(path):
        raise ConfigurationError(f"{path} can be written by others than root: `sudo chown root:root {path}`")
    found = tenant_of(of(), "").login()
    return [] if found is None else [found.username, found.password, *found.hosts]


_TASKS: Mapping[str, Task] = {
    "write_broker_files": _write_broker_files,
    "restore_broker_files": _restore_broker_files,
    "remove_bridge": _remove_bridge,
    "tidy_links": lambda of: conf_files.tidy_links(of().bridge_file.parent),
    "restore_owners": lambda of: ownership.restore(of()),
    "update_drop_in": lambda of: drop_in.update(of()),
    "remove_drop_in": lambda of: drop_in.remove(of()),
    "update_provider": lambda of, tpm: provider_files.update(of(), tpm is True),
    "can_broker_sign": _can_broker_sign,
    "set_key_uri": _set_key_uri,
    "systemctl": _systemctl,
    "why_broker_failed": _why_broker_failed,
    "read_credentials": _read_credentials,
}
