# SPDX-License-Identifier: Apache-2.0
"""Mosquitto's configuration: the listener, the bridge, and how the broker is led to both."""

from dataclasses import dataclass
from pathlib import Path

from tedge_cert import systemd
from tedge_cert.bridge.listener import text_of_listener
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files
from tedge_cert.errors import ConfigurationError, TedgeCertError

CONF_D = Path("/etc/mosquitto/conf.d")
MAIN = Path("/etc/mosquitto/mosquitto.conf")

# Pattern, direction and QoS of what the bridge carries; the token's pair only where a certificate authenticates.
_TOPICS = (
    "s/dt in 1", "s/ut/# out 1", "s/us/# out 1", "t/us/# out 1", "q/us/# out 1", "c/us/# out 1", "s/ds in 1",
    "s/e in 0", "s/uc/# out 1", "t/uc/# out 1", "q/uc/# out 1", "c/uc/# out 1", "s/dc/# in 1",
    "inventory/managedObjects/update/# out 1", "measurement/measurements/create out 1",
    "measurement/measurements/createBulk out 1", "event/events/create out 1", "event/events/createBulk out 1",
    "alarm/alarms/create out 1", "alarm/alarms/createBulk out 1", "devicecontrol/notifications in 1", "error in 1",
)  # fmt: skip
_TOKEN_TOPICS = ("s/uat out 0", "s/dat in 0")
_SMARTREST_1 = ("s/ul/# out 1", "t/ul/# out 1", "q/ul/# out 1", "c/ul/# out 1", "s/dl in 1")


@dataclass(frozen=True)
class Placement:
    """A configuration file of ours, and the link by which the broker finds it (None where it includes ours)."""

    file: Path
    link: Path | None

    def install(self, text: str) -> None:
        """Write the file, then link to it: a link without its file keeps the broker from starting."""
        self.file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        secret = "\nremote_password " in text
        files.write(self.file, text.encode(), files.BROKER_SECRET if secret else files.BROKER_CONFIGURATION)
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


def version() -> str:
    """The version of the broker that is installed; empty if there is none."""
    try:
        # Asked for help, every version says first what it is, whatever its exit code.
        said = systemd.run(["mosquitto", "-h"]).stdout
    except TedgeCertError:
        return ""
    words = said.partition("\n")[0].split()
    return words[2] if words[:2] == ["mosquitto", "version"] and len(words) > 2 else ""


def is_current(instance: Instance) -> bool:
    """Whether the files say what the settings ask for; else the broker has to be restarted with others."""
    listener, bridge = listener_placement(instance), bridge_placement(instance)
    return listener.is_installed(text_of_listener(instance)) and bridge.is_installed(bridge_text(instance))


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


def bridge_text(instance: Instance) -> str:
    """``c8y-bridge.conf`` (mosquitto.conf(5), "Configuring bridges")."""
    lines = ["### Bridge", *_connection(instance), "", "### Topics", *_carried(instance)]
    for line in lines:
        # No setting has a line break in it, but a name in a certificate may: root starts the broker with these.
        if not line.isprintable():
            raise ConfigurationError(
                f"mosquitto cannot be given this {line.partition(' ')[0]}: expected a value of one line without "
                f"control characters; see the subject of {instance.certificate}"
            )
    return "\n".join(lines) + "\n"


def _connection(instance: Instance) -> list[str]:
    """Where the bridge connects to, as whom, and how it comes back."""
    host, port = instance.mqtt
    profile = f"@{instance.config.profile}" if instance.config.profile else ""
    return [
        f"connection edge_to_c8y{profile}",
        f"address {host}:{port}",
        f"{'bridge_capath' if instance.trust.is_dir() else 'bridge_cafile'} {instance.trust}",
        f"remote_clientid {instance.device_id}",
        f"local_clientid Cumulocity{profile}",
        *_proof_of_identity(instance),
        "try_private false",
        "start_type automatic",
        "cleansession true",
        *(["local_cleansession false"] if _knows_local_cleansession(instance) else []),
        "notifications true",
        "notifications_local_only true",
        f"notification_topic {instance.health_topic}",
        "bridge_attempt_unsubscribe false",
        f"keepalive_interval {instance.config.seconds('c8y.bridge.keepalive_interval')}",
        # The bridge reads the certificate anew when it reconnects, between one and two seconds after it was pushed
        # out (mosquitto 2.0 counts whole seconds, which `moment` makes use of; 2.1 counts from the start of the
        # second, so 2 would be needed there); and it is back within half a minute of the network's return.
        "restart_timeout 1 30",
    ]


def _carried(instance: Instance) -> list[str]:
    """What the bridge carries."""
    lines = [f'topic {each} {instance.prefix}/ ""' for each in _topics(instance)]
    if instance.uses_mqtt_service:
        lines.append(f'topic # out 1 {instance.prefix}/mqtt/out/ ""')
        topics = instance.config.names("c8y.mqtt_service.topics")
        lines += [f'topic {each} in 1 {instance.prefix}/mqtt/in/ ""' for each in topics]
    return lines


def _proof_of_identity(instance: Instance) -> list[str]:
    if instance.uses_basic:
        login = instance.credentials
        return [f"remote_username {login.username}", f"remote_password {login.password}"]
    return [f"bridge_certfile {instance.certificate}", f"bridge_keyfile {instance.key}"]


def _knows_local_cleansession(instance: Instance) -> bool:
    """Whether the directive is written: as it is set, or for versions that know it, which begin with 2."""
    said = instance.config.need("c8y.bridge.include.local_cleansession")
    major = version().partition(".")[0]
    return said == "true" or (said == "auto" and major.isdecimal() and int(major) >= 2)


def _topics(instance: Instance) -> list[str]:
    topics = [*_TOPICS, *(() if instance.uses_basic else _TOKEN_TOPICS)]
    for template in instance.config.names("c8y.smartrest.templates"):
        topics += [f"s/uc/{template} out 1", f"s/dc/{template} in 1"]
    templates = instance.config.names("c8y.smartrest1.templates")
    if templates:
        topics += _SMARTREST_1
    for template in templates:
        topics += [f"s/ul/{template} out 1", f"s/dl/{template} in 1", f"s/ol/{template} in 1"]
    return topics
