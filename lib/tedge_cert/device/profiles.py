# SPDX-License-Identifier: Apache-2.0
"""The profiles of a device beside each other: which are set up, and what no two of them may share."""

from collections.abc import Callable
from pathlib import Path

from tedge_cert.config import settings as configuration
from tedge_cert.config.settings import Config
from tedge_cert.config.values import to_text
from tedge_cert.device.instance import Instance
from tedge_cert.errors import ConfigurationError


def others(instance: Instance) -> list[Instance]:
    """The other instances of the same cloud that have a tenant."""
    directory = instance.config.directory
    found = [Instance(configuration.load(directory, name), "c8y") for name in _names(instance.config)]
    return [each for each in found if each.config.profile != instance.config.profile and _has_tenant(each.config)]


def present(instance: Instance) -> list[Instance]:
    """The instances of this configuration that have a tenant or a bridge; the default one where there is none."""
    directory = instance.config.directory
    found = [Instance(configuration.load(directory, name), "c8y") for name in _names(instance.config)]
    return [each for each in found if _has_tenant(each.config) or each.bridge_file.exists()] or [instance]


def sharing(instance: Instance) -> list[Instance]:
    """This instance, and the connected ones that have the same certificate: a switch of one is that of all."""
    found = [each for each in others(instance) if each.certificate == instance.certificate and not each.uses_basic]
    return [instance, *(each for each in found if each.bridge_file.exists())]


def check_conflicts(instance: Instance) -> None:
    """Whether this instance can be connected beside the others; raises ConfigurationError that names both."""
    for other in others(instance):
        if instance.mqtt == other.mqtt and _identity(instance) == _identity(other) is not None:
            host, port = instance.mqtt
            raise ConfigurationError(
                f"{_label(instance)} and {_label(other)} are both {_identity(instance)} at {host}:{port}, and the "
                "tenant lets only one of them be connected; give one of them another tenant or another device id "
                f"(`tedge config set c8y.device.cert_path <file>{_option(instance, other)}`, then "
                f"`tedge cert download c8y{_option(instance, other)}`)"
            )
        for key, example in _OWN.items():
            # Each key as far as it exists.
            value = instance.config.get(key)
            if value is not None and value == other.config.get(key):
                command = f"tedge config set {key} {example(instance, other)}{_option(instance, other)}"
                raise ConfigurationError(
                    f"{key} is {to_text(value)} for {_label(instance)} and for {_label(other)}; each needs its own: "
                    f"set one with `{command}`"
                )


def _option(instance: Instance, other: Instance) -> str:
    """The option that names the one of the two that is not the default, which people leave as it is."""
    return f" --profile {instance.config.profile or other.config.profile}"


def _free_prefix(instance: Instance, other: Instance) -> str:
    return f"c8y-{instance.config.profile or other.config.profile}"


def _free_port(instance: Instance, _: Instance) -> str:
    return str(int(instance.config.need("c8y.proxy.bind.port")) + 1)


_OWN: dict[str, Callable[[Instance, Instance], str]] = {
    "c8y.bridge.topic_prefix": _free_prefix,
    "c8y.proxy.bind.port": _free_port,
}


def _names(config: Config) -> list[str]:
    """The default profile and all others, those of thin-edge 2.x included, which have a file of their own."""
    own = Path(config.directory, "mappers").glob("c8y.*/mapper.toml")
    return ["", *sorted({*config.profiles(), *(each.parent.name.removeprefix("c8y.") for each in own)})]


def _has_tenant(config: Config) -> bool:
    return config.get("c8y.mqtt") is not None


def _identity(instance: Instance) -> str | None:
    try:
        return instance.device_id
    except ConfigurationError:
        # Not registered yet, so there is nothing to confuse it with.
        return None


def _label(instance: Instance) -> str:
    profile = instance.config.profile
    return f"the profile '{profile}'" if profile else "the default profile"
