# SPDX-License-Identifier: Apache-2.0
"""Write mosquitto's configuration files, and the links by which mosquitto finds them."""

from dataclasses import dataclass
from pathlib import Path

from tedge_cert.bridge import mosquitto_conf
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners
from tedge_cert.disk.lock import make_directory
from tedge_cert.errors import TedgeCertError

CONF_D = Path("/etc/mosquitto/conf.d")
MAIN = Path("/etc/mosquitto/mosquitto.conf")


@dataclass(frozen=True)
class Placement:
    """A configuration file of ours, and the link by which the broker finds it (None where it includes ours)."""

    file: Path
    link: Path | None

    def install(self, text: str) -> None:
        """Write the file, then link to it: a link without its file keeps the broker from starting."""
        make_directory(self.file.parent, owners.DIRECTORY_OF_ROOT)
        files.write(self.file, text.encode(), access_of(text))
        self.link_up()

    def link_up(self) -> bool:
        """Make the link to the file, which is there; whether there was none."""
        if self.link is None or self.link.is_symlink():
            return False
        try:
            files.symlink(self.link, self.file)
        except TedgeCertError as error:
            instead = f"`include_dir {self.file.parent}` in {MAIN} does instead, as in a read-only image"
            raise TedgeCertError(f"{error}; {instead} (tedge-first-boot(7))") from error
        return True

    def text(self) -> str | None:
        """What the file holds; None if there is none."""
        try:
            return self.file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def is_installed(self, text: str | None) -> bool:
        """Whether the broker finds ``text`` here, or nothing where it is None."""
        return self.text() == text and (self.link is None or self.link.is_symlink() is (text is not None))

    def put(self, text: str | None) -> None:
        """Install ``text``, or make that there is nothing where it is None."""
        if text is None:
            self.remove()
        else:
            self.install(text)

    def remove(self) -> bool:
        """Remove the link, then the file; whether there was a file."""
        if self.link is not None and self.link.is_symlink():
            files.remove(self.link)
        return files.remove(self.file)


def access_of(text: str) -> owners.Access:
    """Return owner and mode of a file with ``text``: root starts the broker with it, so only root may write it.

    Everybody may read it, except a file that holds a password.
    """
    secret = any(line.split()[:1] == ["remote_password"] for line in text.splitlines())
    return owners.BROKER_SECRET if secret else owners.BROKER_CONFIGURATION


def is_current(instance: Instance) -> bool:
    """Whether the files say what the settings ask for; else the broker has to be restarted with others."""
    listener, bridge = listener_placement(instance), bridge_placement(instance)
    return listener.is_installed(mosquitto_conf.text_of_listener(instance)) and bridge.is_installed(
        mosquitto_conf.bridge_text(instance)
    )


def listener_placement(instance: Instance) -> Placement:
    """Where the listener is configured; read before the bridges, because of per_listener_settings."""
    return _placement(instance, instance.bridge_file.with_name("tedge-mosquitto.conf"), "00-tedge-mosquitto.conf")


def bridge_placement(instance: Instance) -> Placement:
    """Where the bridge of this instance is configured."""
    return _placement(instance, instance.bridge_file, f"50-tedge-{instance.bridge_file.name}")


def _placement(instance: Instance, file: Path, link: str) -> Placement:
    # A configuration elsewhere belongs to a trial: whoever made it starts a broker of their own with it.
    ours = instance.config.is_of_system
    return Placement(file, CONF_D / link if ours and CONF_D.is_dir() and not includes(file.parent) else None)


def includes(directory: Path) -> bool:
    """Whether the broker's own configuration names our directory, as thin-edge's packages make it do."""
    try:
        lines = MAIN.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return ["include_dir", str(directory)] in [each.rstrip("/ ").split() for each in lines]
