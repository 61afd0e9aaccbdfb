# SPDX-License-Identifier: Apache-2.0
"""Say what a changed setting means on this device: whether it fits, whether it acts, and what to type next.

It runs after the change, as user tedge: it reads certificates, and root reads no file of tedge's.
"""

from tedge_cert import journal
from tedge_cert.commands.drop_in import hint
from tedge_cert.config import no_effect
from tedge_cert.config import settings as configuration
from tedge_cert.config.keys.table import is_kept
from tedge_cert.config.settings import Config, cloud_of
from tedge_cert.device import profiles
from tedge_cert.device.instance import resolve, threshold_s
from tedge_cert.errors import TedgeCertError
from tedge_cert.hourly import schedule
from tedge_cert.hourly.validity import read_validity

MINIMUM = "certificate.validity.minimum_duration"
_PINS = ("device.cryptoki.pin", "device.key_pin", "c8y.device.key_pin")
# What mosquitto's files are made from; a group ends with a dot.
_OF_BRIDGE = (
    "c8y.auth_method", "c8y.bridge.", "c8y.credentials_path", "c8y.device.cert_path", "c8y.device.id",
    "c8y.device.key_", "c8y.mqtt", "c8y.root_cert_path", "c8y.smartrest.templates", "c8y.smartrest1.", "c8y.url",
    "device.cert_path", "device.cryptoki.", "device.id", "device.key_", "mqtt.bind.", "mqtt.device_topic_id",
    "mqtt.external.", "mqtt.topic_root",
)  # fmt: skip


def say(directory: str, profile: str, key: str, typed: str = "") -> None:
    """Write the notes on ``key``, which was changed, to ``typed`` if it was set.

    Other settings that are broken are no matter here.
    """
    try:
        config = configuration.load(directory, profile)
        _say_value(config, key, typed)
        _warn_of_no_effect(config, key)
        if key == MINIMUM:
            _judge_threshold(config)
        if key.endswith("certificate.rotate_key"):
            _judge_rotation(config)
        _say_what_is_next(config, key)
    except TedgeCertError as error:
        journal.debug(f"nothing is said about {key}: {error}")


def _say_value(config: Config, key: str, typed: str) -> None:
    """Say what the value is, if it is not written as it was typed."""
    value, _ = config.stored(key)
    if typed and isinstance(value, str) and value != typed:
        journal.info(f"{config.full_name(key)} is set to {value}")


def _say_what_is_next(config: Config, key: str) -> None:
    """Name the command that gives a connected device the changed setting."""
    if key in ("device.cert_path", "c8y.device.cert_path") and config.is_of_system:
        instance = resolve(config, "c8y")
        if said := hint(instance.certificate, instance.words):
            journal.say(said)
            return
    if key.startswith(_OF_BRIDGE):
        for each in [config] if cloud_of(key) else profiles.configs(config):
            instance = resolve(each, "c8y")
            if instance.bridge_file.exists():
                journal.say(
                    f"the bridge takes the new value when it reconnects\n    => tedge reconnect {instance.words}"
                )


def _warn_of_no_effect(config: Config, key: str) -> None:
    """Say that nothing reads ``key``, or nothing of its cloud in this file."""
    if clouds := config.unread():
        what = f"the settings of {', '.join(clouds)} in {config.file} are not read"
        journal.warning(f"{what}: {configuration.MOVE} moves them to {config.directory}/mappers")
    cloud = cloud_of(key) or "c8y"
    if setting := no_effect.key_in_hardware(config, cloud):
        journal.warning(
            f"{no_effect.what_of_hardware(setting)}: no key is made and no certificate renewed until "
            f"`{no_effect.cure_of_hardware()}`"
        )
    elif key in _PINS and config.is_set(key):
        path, full = f"{config.directory}/token-pin", config.full_name(key)
        journal.warning(
            f"every user of this device can read {full}: write the PIN to "
            f"{path} (owner root, group mosquitto, mode 0640), "
            f"`sudo tedge config set device.cryptoki.pin_path {path}`, then `sudo tedge config unset {full}`"
        )
    elif is_kept(key):
        journal.info(f"{key} is kept for thin-edge; nothing in this package reads it")


def _judge_threshold(config: Config) -> None:
    """Warn if the threshold does not fit the certificate of a profile, or the hourly check."""
    paths = {each.certificate for each in profiles.present(resolve(config, "c8y"))}
    lifetimes_s = {_lifetime_s(str(path)) for path in paths}
    for lifetime_s in sorted(lifetimes_s):
        minimum_s = threshold_s(config, lifetime_s)
        # Without a certificate, a percentage is a part of nothing.
        fault = schedule.threshold_fault(minimum_s, lifetime_s) if lifetime_s or minimum_s else ""
        if fault:
            better = schedule.better_threshold(lifetime_s)
            journal.warning(f"{fault}; {schedule.OFFLINE_RULE}, such as `sudo tedge config set {MINIMUM} {better}`")
            return


def _judge_rotation(config: Config) -> None:
    """Warn where no new key can be made, and name the command that opens its directory to the renewal."""
    for each in profiles.present(resolve(config, "c8y")):
        if not each.rotates_key:
            continue
        from tedge_cert.device import rotation

        try:
            rotation.check(each)
        except TedgeCertError as error:
            journal.warning(str(error))
        else:
            if config.is_of_system and (said := hint(each.key_file, each.words)):
                journal.say(said)


def _lifetime_s(path: str) -> int:
    """Return the lifetime of the certificate; 0 if there is none that can be read."""
    try:
        return read_validity(path).lifetime_s
    except (OSError, ValueError):
        return 0
