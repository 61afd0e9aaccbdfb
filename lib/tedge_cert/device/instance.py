# SPDX-License-Identifier: Apache-2.0
"""Names and paths of an instance: what follows from a cloud, a profile and the settings, resolved once."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tedge_cert import cures, journal, systemd
from tedge_cert.config import auth_method, no_effect
from tedge_cert.config import settings as configuration
from tedge_cert.config.settings import Config, key_for
from tedge_cert.config.values import IN_ID, Value, odd_characters, parse_device_id
from tedge_cert.device import handed_key
from tedge_cert.disk import aliases
from tedge_cert.durations import part_s
from tedge_cert.errors import CertificateError, ConfigurationError, UnreadableError
from tedge_cert.hourly import mapper_process
from tedge_cert.hourly.validity import flaw_of_name

# MQTT 3.1.1 demands less of servers; Cumulocity takes 64 characters.
_LONGEST_ID = 255
STATE_DIRECTORY = "/var/lib/tedge-cert-renewer"


@dataclass(frozen=True)
class Names:
    """A cloud and a profile as units, files and command lines name them; both may be empty."""

    cloud: str
    profile: str

    @property
    def name(self) -> str:
        """``c8y``, or ``c8y@p`` for the profile ``p``."""
        cloud = self.cloud or "c8y"
        return f"{cloud}@{self.profile}" if self.profile else cloud

    @property
    def words(self) -> str:
        """The words that name this instance on a command line."""
        return self._words(self.cloud or "c8y")

    @property
    def words_at_tenant(self) -> str:
        """The same words for a command that only Cumulocity has, also for the certificate of another cloud."""
        return self._words("c8y")

    @property
    def service(self) -> str:
        """The unit that renews the certificate of this instance."""
        if self.profile:
            return f"tedge-cert-renewer-c8y@{self.profile}.service"
        return f"tedge-cert-renewer@{self.cloud or 'c8y'}.service"

    @property
    def registration(self) -> str:
        """The unit that registers the device without a person; empty for a profile, which has none."""
        return "" if self.profile else f"tedge-cert-download@{self.name}.service"

    @property
    def timer(self) -> str:
        """The timer unit that checks this instance every hour."""
        return self.service.removesuffix("service") + "timer"

    def _words(self, cloud: str) -> str:
        return f"{cloud} --profile {self.profile}" if self.profile else cloud


@dataclass(frozen=True)
class Instance(Names):
    """The names of an instance, its settings, and the paths that all commands which change something need.

    Values that only some commands need are made from ``config`` where such a command begins: see
    ``connection_settings``.
    """

    config: Config
    certificate: Path
    key_file: Path
    csr: Path
    run_directory: Path
    # Whether systemd runs, and its services read this configuration.
    manages_services: bool

    @property
    def key(self) -> Path:
        """The file of the private key; raises ConfigurationError if the settings say that the key is in hardware."""
        no_effect.refuse_key_in_hardware(self.config, self.cloud)
        return self.key_file

    @property
    def candidate(self) -> Path:
        """A new certificate that has not proved itself."""
        return _with_suffix(self.certificate, ".new")

    @property
    def previous(self) -> Path:
        """The certificate just replaced; while it exists, a switch is unfinished."""
        return _with_suffix(self.certificate, ".previous")

    @property
    def candidate_key(self) -> Path:
        """A new private key: a candidate belongs to it, or is still to be asked for."""
        return _with_suffix(self.key_file, ".new")

    @property
    def previous_key(self) -> Path:
        """The private key just replaced, that of previous."""
        return _with_suffix(self.key_file, ".previous")

    @property
    def rotates_key(self) -> bool:
        """Whether the settings want a new private key with each renewal."""
        return self.config.get(self.rotation_key) is True

    @property
    def rotation_key(self) -> str:
        """The key that says so; only that of Cumulocity has one of its own."""
        return key_for("c8y" if self.cloud == "c8y" else "", "certificate.rotate_key")

    @property
    def bridge_file(self) -> Path:
        """Mosquitto's configuration of the bridge; while it exists, the device is connected."""
        return bridge_file_of(self.config)

    @property
    def state_file(self) -> Path:
        """What the last run left for the next one and for other programs."""
        return state_file_of(self.config, self)

    @property
    def waiting_file(self) -> Path:
        """The signing request that waits for approval at the authority."""
        return self.state_file.with_suffix(".waiting")

    @property
    def rejection_file(self) -> Path:
        """The SHA-256 of the candidate that the last verification rejected."""
        return self.run_directory / f"{self.name}.rejected"

    @property
    def restart_file(self) -> Path:
        """This file exists while mosquitto has yet to be restarted with its new configuration."""
        return self.run_directory / f"{self.name}.restart"

    @property
    def mapper_file(self) -> Path:
        """A write to this file has systemd restart the mapper of thin-edge, which reads the certificate then."""
        return self.run_directory / f"{self.name}.mapper"

    @property
    def access_token_file(self) -> Path:
        """Whether the tenant gives tokens for client certificates, as found out since the boot."""
        return self.run_directory / f"{self.name}.access-token"


def resolve(config: Config, cloud: str = "") -> Instance:
    """Make the instance of ``cloud`` from its settings; raises ConfigurationError for a path that is not usable."""
    return Instance(
        cloud,
        config.profile,
        config,
        certificate=certificate_of(config, cloud),
        key_file=handed_key.key_file_of(Path(config.need(key_for(cloud, "device.key_path")))),
        csr=Path(config.need(key_for(cloud, "device.csr_path"))),
        run_directory=Path(config.need("run.path")) / "tedge-cert-renewer",
        manages_services=systemd.is_running() and config.is_of_system,
    )


def load_instance(cloud: str = "", profile: str = "", directory: str = "", known: bool = True) -> Instance:
    """Load the instance that a command line names; raises ConfigurationError if it must be ``known`` and is not."""
    return resolve(load_config(cloud, profile, directory, known), cloud)


def pair_of(instance: Instance) -> tuple[str, str]:
    """Return the settings from which the instance has its certificate and its key: its own ones where they are set."""
    return _setting_of(instance, "device.cert_path"), _setting_of(instance, "device.key_path")


def _setting_of(instance: Instance, name: str) -> str:
    own = key_for(instance.cloud, name)
    return instance.config.full_name(own) if instance.config.is_set(own) else name


def check_files(instance: Instance) -> None:
    """Check that certificate, key and signing request have a file each; raises ConfigurationError."""
    aliases.check(str(instance.certificate), str(instance.key_file), str(instance.csr), instance.config.option)


def load_config(cloud: str = "", profile: str = "", directory: str = "", known: bool = True) -> Config:
    """Load only the settings of that instance, for a command that may not fail for a path it does not need."""
    loaded = configuration.load(directory, profile if cloud else "")
    return configuration.need_profile(loaded, cloud) if known else loaded


def certificate_of(config: Config, cloud: str = "") -> Path:
    """Return the path of the active certificate; without a cloud, of the certificate of the device itself."""
    return Path(config.need(key_for(cloud, "device.cert_path")))


def bridge_file_of(config: Config) -> Path:
    """Return the path of mosquitto's configuration of the bridge."""
    return Path(mapper_process.bridge_file_of(config.directory, config.profile))


def state_file_of(config: Config, names: Names) -> Path:
    """Return the path of the state; a configuration outside /etc/tedge has its own."""
    directory = STATE_DIRECTORY if config.is_of_system else f"{config.directory}/state"
    return Path(directory) / f"{names.name}.json"


def threshold_s(config: Config, lifetime_s: int) -> int:
    """Return the threshold: a certificate of this lifetime is renewed when no more than this many seconds are left."""
    return part_s(config.need("certificate.validity.minimum_duration"), lifetime_s)


def identity(instance: Instance) -> str:
    """Return the device id: the common name of the certificate, or ``device.id`` while there is no certificate.

    Raises ConfigurationError when there is neither.
    """
    found = device_id(instance.config, key_for(instance.cloud, "device.id"))
    if found is None:
        from tedge_cert.x509.certificate import load

        download = f"`sudo tedge cert download {instance.words} --device-id <id>`"
        try:
            flaw = flaw_of_name(load(instance.certificate).validity)
        except CertificateError:
            # There is none, or none that can be read.
            flaw = ""
        if flaw:
            raise ConfigurationError(f"the certificate {instance.certificate} {flaw}; get one with {download}")
        how = f"register it with {download}"
        if auth_method.is_basic(instance.config):
            how = "set it with `sudo tedge config set device.id <id>`"
        raise ConfigurationError(
            f"the device has no identity yet: there is no certificate at {instance.certificate} and device.id is not "
            f"set; {how}"
        )
    return found


def device_id(config: Config, key: str = "device.id") -> str | None:
    """Return the common name of the certificate that belongs to ``key``, or the configured value without one.

    None for a certificate that names no device. Raises UnreadableError for one that could not be looked at.
    """
    from tedge_cert.x509.certificate import load

    path = config.need(key.replace(".id", ".cert_path"))
    try:
        return load(Path(path)).validity.device_id or None
    except UnreadableError:
        raise
    except CertificateError:
        return config.text(key)


def device_id_for(config: Config, key: str, given: str | None = None) -> str | None:
    """Return the device id for a request: ``given``, or the one that the device has. Raises ConfigurationError.

    The tenant has to take an id that is new. The device may be connected with the one that it has, so that is at most
    a warning.
    """
    if given is not None and not odd_characters(given):
        return checked_device_id(given)
    known = device_id(config, key)
    if given is not None and given != known:
        return checked_device_id(given)
    if known is not None:
        warn_of_id(known)
    return known


def checked_device_id(text: str) -> str:
    """Return ``text`` if the tenant takes it as a device id; raises ConfigurationError."""
    try:
        return str(parse_device_id(text))
    except ValueError as error:
        raise ConfigurationError(f"'{text}' cannot be a device id: {error}") from error


def warn_of_id(device_id: str) -> None:
    """Warn of a device id from a certificate that the tenant may not take; the device may be connected with it."""
    odd = odd_characters(device_id)
    if not odd:
        return
    names = {" ": "a blank", ":": "a colon"}
    found = ", ".join(names.get(each, each) for each in odd)
    meaning = "it takes the parts of a client id that colons separate for different things" if ":" in odd else ""
    journal.warning(
        f"the device id {device_id} has characters ({found}) that Cumulocity does not expect in one, so it may refuse "
        f"the device{f' ({meaning})' if meaning else ''}; expected {IN_ID}: "
        f"{cures.command('cert download', '--device-id <id>')} gets a certificate of another name"
    )


def connectable_id(text: str) -> str:
    """Return ``text`` if it can stand as a client id in a file of mosquitto; raises ConfigurationError."""
    if not text or len(text) > _LONGEST_ID or not text.isprintable() or text != text.strip():
        raise ConfigurationError(
            f"'{text}' cannot be a client id: expected up to {_LONGEST_ID} printable characters, none of them a blank "
            "at the begin or the end"
        )
    return text


def value_of(config: Config, name: str) -> Value | None:
    """Return the value of any key, including those that follow from the certificate."""
    if name == "device.id" or name.endswith(".device.id"):
        # A listing of the settings shows what is set where the certificate cannot be looked at.
        with suppress(UnreadableError):
            return device_id(config, name)
    return config.get(name)


def _with_suffix(path: Path, suffix: str) -> Path:
    # Not with_name(), which fails for the path "/".
    return path.parent / (path.name + suffix)
