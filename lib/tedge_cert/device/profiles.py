# SPDX-License-Identifier: Apache-2.0
"""Find the other profiles of a device, and refuse what no two profiles may share."""

from collections.abc import Callable

from tedge_cert.config import auth_method
from tedge_cert.config.settings import Config
from tedge_cert.device.instance import Instance, bridge_file_of, certificate_of, identity, resolve
from tedge_cert.errors import ConfigurationError, UnreadableError


def others(instance: Instance) -> list[Instance]:
    """Return the other instances of the same cloud that have a tenant."""
    return [resolve(each, "c8y") for each in _others(instance)]


def present(instance: Instance) -> list[Instance]:
    """Return the instances of this configuration that have a tenant or a bridge; the default one where none has."""
    found = [each for each in configs(instance.config) if _has_tenant(each) or bridge_file_of(each).exists()]
    return [resolve(each, "c8y") for each in found] or [instance]


def sharing(instance: Instance) -> list[Instance]:
    """Return this instance, and the connected ones with the same certificate: a switch of one switches them all."""
    found = [
        resolve(each, "c8y")
        for each in _others(instance)
        if certificate_of(each, "c8y") == instance.certificate and not auth_method.is_basic(each)
    ]
    return [instance, *(each for each in found if each.bridge_file.exists())]


def check_conflicts(instance: Instance) -> None:
    """Check that this instance can be connected beside the others; raises ConfigurationError that names both."""
    # Here, because most commands only look which profiles there are.
    from tedge_cert.device.connection_settings import mqtt_of

    mqtt, device_id = mqtt_of(instance.config), identity_of(instance)
    for other in others(instance):
        if mqtt == mqtt_of(other.config) and device_id == identity_of(other) is not None:
            host, port = mqtt
            raise ConfigurationError(
                f"{_label(instance)} and {_label(other)} are both {device_id} at {host}:{port} "
                f"({_both('c8y.url', instance, other)}; {_both('c8y.device.id', instance, other)}), and the tenant "
                "lets only one of them be connected; give one of them another tenant or another device id "
                f"(`sudo tedge config set c8y.device.cert_path <file>{_option(instance, other)}`, then "
                f"`sudo tedge cert download c8y{_option(instance, other)}`)"
            )
        for key, example in _OWN.items():
            value = instance.config.text(key)
            if value is not None and value == other.config.text(key):
                command = f"tedge config set {key} {example(instance, other)}{_option(instance, other)}"
                raise ConfigurationError(
                    f"{_both(key, instance, other)} are both {value}, but {_label(instance)} and "
                    f"{_label(other)} each need their own: set one with `{command}`"
                )


def _both(key: str, instance: Instance, other: Instance) -> str:
    """Return the names that ``key`` has in the settings of two profiles."""
    return " and ".join(each.config.full_name(key) for each in sorted((instance, other), key=lambda each: each.profile))


def _option(instance: Instance, other: Instance) -> str:
    """Return the option for one of two profiles that is not the default: people leave the default profile as it is."""
    return f" --profile {instance.profile or other.profile}"


# Keys that each profile needs for itself, with a value that is free.
_OWN: dict[str, Callable[[Instance, Instance], str]] = {
    "c8y.bridge.topic_prefix": lambda instance, other: f"c8y-{instance.profile or other.profile}",
    "c8y.proxy.bind.port": lambda instance, _: str(int(instance.config.need("c8y.proxy.bind.port")) + 1),
}


def configs(config: Config) -> list[Config]:
    """Load the settings of every profile."""
    return [config.of_profile(name) for name in ("", *config.profiles())]


def _others(instance: Instance) -> list[Config]:
    return [each for each in configs(instance.config) if each.profile != instance.profile and _has_tenant(each)]


def _has_tenant(config: Config) -> bool:
    return config.get("c8y.mqtt") is not None


def identity_of(instance: Instance) -> str | None:
    """Return the device id of an instance; None where there is none, or none that can be read."""
    try:
        return identity(instance)
    except (ConfigurationError, UnreadableError):
        # The device is not registered yet, so there is nothing to confuse it with.
        return None


def _label(instance: Instance) -> str:
    profile = instance.profile
    return f"the profile '{profile}'" if profile else "the default profile"
