# SPDX-License-Identifier: Apache-2.0
"""A cloud and a profile, and what follows from them: paths, endpoints, unit names, topics."""

from dataclasses import dataclass
from pathlib import Path

from tedge_cert import systemd
from tedge_cert.config import settings as configuration
from tedge_cert.config.settings import Config
from tedge_cert.config.values import Value, parse_device_id, to_text
from tedge_cert.device.tenant_side import TenantSide
from tedge_cert.errors import CertificateError, ConfigurationError

STATE_DIRECTORY = "/var/lib/tedge-cert-renewer"


@dataclass(frozen=True)
class Instance(TenantSide):
    """What the units are started for; every property is looked up when it is needed."""

    config: Config
    cloud: str = ""

    @property
    def name(self) -> str:
        """``c8y``, or ``c8y@p`` for the profile ``p``; without a cloud the keys of the device itself are used."""
        cloud = self.cloud or "c8y"
        return f"{cloud}@{self.config.profile}" if self.config.profile else cloud

    @property
    def words(self) -> str:
        """How a command line names this instance."""
        return self._words(self.cloud or "c8y")

    @property
    def words_at_tenant(self) -> str:
        """The same for a command that only the tenant knows, whatever cloud the certificate is for."""
        return self._words("c8y")

    @property
    def timer(self) -> str:
        """The timer unit that checks this instance every hour."""
        return self.service.removesuffix("service") + "timer"

    @property
    def service(self) -> str:
        """The unit that renews the certificate of this instance."""
        profile = self.config.profile
        return f"tedge-cert-renewer-c8y@{profile}.service" if profile else f"tedge-cert-renewer@{self.name}.service"

    @property
    def registration(self) -> str:
        """Return the unit that registers the device without a person; empty for a profile, which has none."""
        return "" if self.config.profile else f"tedge-cert-download@{self.name}.service"

    @property
    def certificate(self) -> Path:
        """The active certificate."""
        return Path(self.config.need(self._key("device.cert_path")))

    @property
    def candidate(self) -> Path:
        """A new certificate that has not proved itself."""
        return _with_suffix(self.certificate, ".new")

    @property
    def previous(self) -> Path:
        """The certificate just replaced; while it exists, a switch is unfinished."""
        return _with_suffix(self.certificate, ".previous")

    @property
    def key(self) -> Path:
        """The private key."""
        return Path(self.config.need(self._key("device.key_path")))

    @property
    def csr(self) -> Path:
        """Where the last certificate signing request is kept."""
        return Path(self.config.need(self._key("device.csr_path")))

    @property
    def device_id(self) -> str:
        """The identity of the device; raises ConfigurationError when neither certificate nor setting tell it."""
        identity = device_id(self.config, self._key("device.id"))
        if identity is None:
            how = f"register it with `tedge cert download {self.words} --device-id <id>`"
            if self.uses_basic:
                how = "set it with `tedge config set device.id <id>`"
            raise ConfigurationError(
                f"the device has no identity yet: there is no certificate at {self.certificate} and device.id is not "
                f"set; {how}"
            )
        return identity

    @property
    def prefix(self) -> str:
        """Local prefix of the topics that the bridge carries."""
        return self.config.need("c8y.bridge.topic_prefix")

    @property
    def health_topic(self) -> str:
        """Where mosquitto says whether the bridge is connected: ``1`` or ``0``, retained."""
        root, device = self.config.need("mqtt.topic_root"), self.config.need("mqtt.device_topic_id")
        return f"{root}/{_service_of(device)}/mosquitto-{self.prefix}-bridge/status/health"

    @property
    def broker(self) -> tuple[str, int]:
        """Host and port of the local mosquitto."""
        return self.config.need("mqtt.client.host"), int(self.config.need("mqtt.client.port"))

    @property
    def bridge_file(self) -> Path:
        """Mosquitto's configuration of the bridge; while it exists, the device is connected."""
        profile = f"@{self.config.profile}" if self.config.profile else ""
        return Path(self.config.directory) / "mosquitto-conf" / f"c8y{profile}-bridge.conf"

    @property
    def run_directory(self) -> Path:
        """Locks, and facts handed from step to step."""
        return Path(self.config.need("run.path")) / "tedge-cert-renewer"

    @property
    def state_file(self) -> Path:
        """What the last run left for the next one, and for whoever asks; a configuration elsewhere has its own."""
        config = self.config
        directory = STATE_DIRECTORY if config.is_of_system else f"{config.directory}/state"
        return Path(directory) / f"{self.name}.json"

    @property
    def rejection_file(self) -> Path:
        """The SHA-256 of the candidate that the last verification rejected."""
        return self.run_directory / f"{self.name}.rejected"

    @property
    def restart_file(self) -> Path:
        """There while mosquitto has yet to be restarted with what its files say."""
        return self.run_directory / f"{self.name}.restart"

    @property
    def access_token_file(self) -> Path:
        """Whether the tenant gives tokens for client certificates, as found out since the boot."""
        return self.run_directory / f"{self.name}.access-token"

    @property
    def manages_services(self) -> bool:
        """Whether systemd runs, and this configuration is the one that its services read."""
        return systemd.is_running() and self.config.is_of_system

    @property
    def minimum_s(self) -> int:
        """The threshold: a certificate is renewed when no more than this many seconds are left."""
        return self.config.seconds("certificate.validity.minimum_duration")

    def _words(self, cloud: str) -> str:
        profile = self.config.profile
        return f"{cloud} --profile {profile}" if profile else cloud

    def _key(self, name: str) -> str:
        return f"{self.cloud}.{name}" if self.cloud else name


def load_instance(cloud: str = "", profile: str = "", directory: str = "", known: bool = True) -> Instance:
    """The instance that a command line names; raises ConfigurationError if its profile must be ``known`` and is not."""
    loaded = configuration.load(directory, profile if cloud else "")
    return Instance(configuration.need_profile(loaded, cloud) if known else loaded, cloud)


def device_id(config: Config, key: str = "device.id") -> str | None:
    """The common name of the certificate where there is one, else the configured value."""
    from tedge_cert.x509.certificate import load

    path = config.need(key.replace(".id", ".cert_path"))
    try:
        names = load(Path(path)).common_names
    except CertificateError:
        value = config.get(key)
        return None if value is None else to_text(value)
    return names[0] if names else None


def checked_device_id(text: str) -> str:
    """A device id that the tenant takes; raises ConfigurationError."""
    try:
        return str(parse_device_id(text))
    except ValueError as error:
        raise ConfigurationError(f"'{text}' cannot be a device id: {error}") from error


def value_of(config: Config, name: str) -> Value | None:
    """The value of any key, those included that follow from the certificate."""
    if name == "device.id" or name.endswith(".device.id"):
        return device_id(config, name)
    return config.get(name)


def _with_suffix(path: Path, suffix: str) -> Path:
    # Not by with_name, which fails where somebody configured "/".
    return path.parent / (path.name + suffix)


def _service_of(device_topic_id: str) -> str:
    """The service part of a device's topic identifier: ``device/main//`` has ``device/main/service/…``."""
    parts = device_topic_id.split("/")
    if len(parts) == 4 and parts[0] == "device":
        return f"device/{parts[1]}/service"
    return device_topic_id.rstrip("/") + "/service"
