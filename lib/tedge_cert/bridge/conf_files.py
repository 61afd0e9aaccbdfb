# SPDX-License-Identifier: Apache-2.0
"""Write mosquitto's configuration files, and the links by which mosquitto finds them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tedge_cert import journal
from tedge_cert.bridge import mosquitto_conf
from tedge_cert.device.mosquitto import Mosquitto, MosquittoFiles
from tedge_cert.disk import files, owners
from tedge_cert.errors import TedgeCertError

CONF_D = Path("/etc/mosquitto/conf.d")
MAIN = Path("/etc/mosquitto/mosquitto.conf")
_LISTENER = "tedge-mosquitto.conf"


@dataclass(frozen=True)
class Placement:
    """A configuration file, and the link by which the broker finds it (None where it includes our directory)."""

    file: Path
    link: Path | None

    def put(self, text: str | None) -> None:
        """Write the file, then link to it, as the broker does not start with a link to nothing; None removes both."""
        if text is None:
            self.remove()
            return
        files.make_directory(self.file.parent, owners.DIRECTORY_OF_ROOT)
        files.write(self.file, text.encode(), access_of(text))
        self.link_up()

    def link_up(self) -> bool:
        """Make the link to the file, which exists; return whether there was none."""
        if self.link is None or self.link.is_symlink():
            return False
        try:
            files.symlink(self.link, self.file)
        except TedgeCertError as error:
            instead = f"`include_dir {self.file.parent}` in {MAIN} does instead, as in a read-only image"
            raise TedgeCertError(f"{error}; {instead} (tedge-first-boot(7))") from error
        return True

    def text(self) -> str | None:
        """Return the content of the file; None if there is no file."""
        try:
            return self.file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def is_installed(self, text: str | None) -> bool:
        """Return whether the broker finds ``text`` here, or nothing where it is None."""
        return self.text() == text and (self.link is None or self.link.is_symlink() is (text is not None))

    def remove(self) -> None:
        """Remove the link, then the file."""
        if self.link is not None and self.link.is_symlink():
            files.remove(self.link)
        files.remove(self.file)


def access_of(text: str) -> owners.Access:
    """Return owner and mode of a file with ``text``: root starts the broker with it, so only root may write it.

    Everybody may read it, except a file that holds a password.
    """
    secret = any(line.split()[:1] == ["remote_password"] for line in text.splitlines())
    return owners.BROKER_SECRET if secret else owners.BROKER_CONFIGURATION


def is_current(of: MosquittoFiles, wanted: Mosquitto) -> bool:
    """Return whether the files say what the settings ask for; otherwise the broker has to be restarted with others."""
    has_listener = listener_placement(of).is_installed(mosquitto_conf.listener_text(wanted.listener))
    return has_listener and bridge_placement(of).is_installed(mosquitto_conf.bridge_text(wanted))


def differences(of: MosquittoFiles, wanted: Mosquitto) -> list[str]:
    """Return in what the files differ from the settings, a directive each, without the value of a password.

    Raises OSError for a file that this user may not read.
    """
    bridge, listener = (_directives(each(of).text() or "") for each in (bridge_placement, listener_placement))
    facts = mosquitto_conf.look(wanted)
    texts = mosquitto_conf.bridge_text(wanted, facts), mosquitto_conf.listener_text(wanted.listener, facts)
    found = []
    for theirs, text in zip((bridge, listener), texts, strict=True):
        ours = _directives(text or "")
        found += [
            _difference(name, theirs.get(name, ""), ours.get(name, ""))
            for name in {**ours, **theirs}
            if theirs.get(name) != ours.get(name)
        ]
    return found


def _directives(text: str) -> dict[str, str]:
    """Return the directives of a file with their values; one that may occur often has all of them."""
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name and not name.startswith("#"):
            values.setdefault(name, []).append(value)
    return {name: ", ".join(each) for name, each in values.items()}


def _difference(name: str, theirs: str, ours: str) -> str:
    if name in ("remote_password", "topic"):
        return name
    return f"{name} {theirs or 'none'} instead of {ours or 'none'}"


def listener_placement(of: MosquittoFiles) -> Placement:
    """Return where the listener is configured; read before the bridges, because of per_listener_settings."""
    return _placement(of.bridge.with_name(_LISTENER), of.is_of_system)


def bridge_placement(of: MosquittoFiles) -> Placement:
    """Return where the bridge of this instance is configured."""
    return _placement(of.bridge, of.is_of_system)


def _placement(file: Path, is_of_system: bool) -> Placement:
    # A configuration outside /etc/tedge is for a trial: its owner starts another broker with it.
    linked = is_of_system and CONF_D.is_dir() and not includes(file.parent)
    link = f"00-{_LISTENER}" if file.name == _LISTENER else f"50-tedge-{file.name}"
    return Placement(file, CONF_D / link if linked else None)


def includes(directory: Path) -> bool:
    """Return whether mosquitto.conf includes our directory, as the packages of thin-edge arrange it."""
    try:
        lines = MAIN.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return ["include_dir", str(directory)] in [each.rstrip("/ ").split() for each in lines]


def is_ours(file: Path) -> bool:
    """Return whether a file of our directory is a listener or a bridge of this package, or of thin-edge."""
    return file.name == _LISTENER or file.name.endswith("-bridge.conf")


def link_up(ours: Iterable[Path]) -> bool:
    """Make the links to these files of the system where there are none; return whether any was missing."""
    made = [_placement(each, is_of_system=True).link_up() for each in ours]
    return any(made)


def tidy_links(directory: Path) -> bool:
    """Remove links to our ``directory`` that would keep the broker from starting; return whether there were any.

    A dangling link is an error for the broker, and a link to a file that its own configuration includes is a second
    listener on the same port.
    """
    if not CONF_D.is_dir():
        return False
    twice = includes(directory)
    ours = [each for each in CONF_D.iterdir() if each.is_symlink() and each.readlink().parent == directory]
    bad = [each for each in ours if twice or not each.exists()]
    for link in bad:
        files.remove(link)
        journal.info(f"removed the link {link}, with which mosquitto would not start")
    return bool(bad)
