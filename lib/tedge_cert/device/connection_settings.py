# SPDX-License-Identifier: Apache-2.0
"""Make the values of ``connections`` from the settings, where a command begins.

Those of ``mosquitto`` too, which are loaded where they are made, because few commands take them.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tedge_cert import journal
from tedge_cert.config import auth_method, credentials
from tedge_cert.config.settings import Config
from tedge_cert.config.values import split_endpoint
from tedge_cert.device.connections import EstAuthority, EstServer, KeyPair, LocalBroker, Mapper, Tenant
from tedge_cert.device.instance import Instance, identity
from tedge_cert.errors import ConfigurationError
from tedge_cert.hourly import mapper_process
from tedge_cert.net.anchors import Trust
from tedge_cert.net.proxy import Proxy, proxy_for
from tedge_cert.net.server import Server

if TYPE_CHECKING:
    from tedge_cert.device.mosquitto import Listener, Mosquitto, MosquittoFiles

_AUTH, _ROOTS, _PREFIX = "mqtt.client.auth", "c8y.root_cert_path", "c8y.bridge.topic_prefix"
# The services that say whether they run, each with the prefix of the cloud.
_MOSQUITTO, _MAPPER, _BRIDGE_OF_MAPPER = "mosquitto-{}-bridge", "tedge-mapper-{}", "tedge-mapper-bridge-{}"
_MAIN_DEVICE = "device/main//"


def server_of(config: Config, host: str = "") -> Server:
    """Return the HTTPS interface of the tenant, or of ``host``; raises ConfigurationError."""
    found = host or config.need("c8y.http")
    trust = Trust(Path(config.need(_ROOTS)), _ROOTS)
    return Server(found, trust, "c8y.http", proxy_of(config, found))


def tenant_of(instance: Instance, device_id: str | None = None) -> Tenant:
    """Return the tenant and what the device shows it, by default as its ``identity``; raises ConfigurationError."""
    config, server = instance.config, server_of(instance.config)
    return Tenant(
        server.host,
        server.trust,
        server.setting,
        server.proxy,
        mqtt=mqtt_of(config),
        token_server=replace(server, host=f"{split_endpoint(server.host, 443)[0]}:8443"),
        token_memory=instance.access_token_file,
        device_id=identity(instance) if device_id is None else device_id,
        device_type=config.need("device.type"),
        certificate=instance.certificate,
        key=instance.key,
        credentials_path=Path(config.need("c8y.credentials_path")) if auth_method.is_basic(config) else None,
    )


def est_of(config: Config, device_id: str) -> EstAuthority:
    """Return the certificate authority of the operator's; raises ConfigurationError without est.url."""
    url, password_in = config.need("c8y.est.url"), config.need("c8y.est.password_in")
    certificate, key = (Path(config.need(f"c8y.est.bootstrap.{each}_path")) for each in ("cert", "key"))
    path = config.text("c8y.est.credentials_path")
    return EstAuthority(
        _est_server(config, url, "est.url"),
        _renewal_server(config, url),
        username=config.text("c8y.est.username") or device_id,
        uses_basic=password_in in ("basic", "both"),
        uses_challenge=password_in in ("challenge", "both"),
        factory=KeyPair(certificate, key) if os.path.lexists(certificate) else None,
        credentials_path=None if path is None else Path(path),
    )


def _renewal_server(config: Config, url: str) -> EstServer:
    # An address that only other profiles use must not take the requests of one with an authority of its own.
    is_others = config.is_set("c8y.est.url") and not config.is_set("c8y.est.renew_url")
    found = None if is_others else config.text("c8y.est.renew_url")
    return _est_server(config, found, "est.renew_url") if found else _est_server(config, url, "est.url")


def _est_server(config: Config, url: str, setting: str) -> EstServer:
    parts = urlsplit(url)
    trust = Trust(Path(config.need("c8y.est.root_cert_path")), "est.root_cert_path")
    return EstServer(parts.netloc, trust, setting, proxy_of(config, parts.netloc), base=parts.path)


def mqtt_of(config: Config) -> tuple[str, int]:
    """Return host and port of the tenant's MQTT endpoint; an IPv6 address without brackets, as sockets take it."""
    host, port = split_endpoint(config.need("c8y.mqtt"), 8883)
    # The MQTT service of the tenant has its own port, and carries all that the other one does.
    if port == 8883 and _uses_mqtt_service(config):
        port = 9883
    return host.strip("[]"), port


def proxy_of(config: Config, endpoint: str) -> Proxy | None:
    """Return the proxy on the way to ``endpoint`` (host, host:port); None if the device goes there directly."""
    address = config.text("proxy.address")
    if address is None:
        return None
    exceptions, username = (config.text(f"proxy.{each}") for each in ("no_proxy", "username"))
    return proxy_for(endpoint, address, exceptions or "", username, _proxy_password(config))


def _proxy_password(config: Config) -> str | None:
    file, password = (config.text(f"proxy.{each}") for each in ("password_file", "password"))
    if file is None:
        return password
    if password is not None:
        raise ConfigurationError(
            "proxy.password and proxy.password_file are both set; `sudo tedge config unset proxy.password` leaves the "
            "file"
        )
    return credentials.read_password(Path(file), "proxy.password_file", "the HTTP proxy")


def broker_of(instance: Instance) -> LocalBroker:
    """Return the local broker; raises ConfigurationError for settings that do not go together."""
    config = instance.config
    trust = _trust_in_broker(config)
    certificate, key, password_file = (_path(config, each) for each in ("cert_file", "key_file", "password_file"))
    if (certificate is None) is not (key is None) or (certificate and not trust):
        raise ConfigurationError(
            f"{_AUTH}.cert_file and {_AUTH}.key_file belong together, and need {_AUTH}.ca_file or {_AUTH}.ca_dir, "
            "which vouches for the local broker"
        )
    username = config.text(f"{_AUTH}.username")
    if username is None and password_file is not None:
        raise ConfigurationError(f"{_AUTH}.password_file is set, but no {_AUTH}.username that it belongs to")
    root, device = config.need("mqtt.topic_root"), config.need("mqtt.device_topic_id")
    mapper = _mapper_of(instance)
    return LocalBroker(
        config.need("mqtt.client.host"),
        int(config.need("mqtt.client.port")),
        prefix=config.need(_PREFIX),
        health_topic=_health_of(config, _MOSQUITTO if mapper is None else _BRIDGE_OF_MAPPER),
        status_topic=f"{root}/{device}/cert/{instance.name}/status",
        bridge_file=instance.bridge_file,
        trust=trust,
        certificate=certificate,
        key=key,
        username=username,
        password_file=password_file,
        mapper=mapper,
    )


def _mapper_of(instance: Instance) -> Mapper | None:
    """Return the mapper, where the bridge is the one that is built into it."""
    if not mapper_process.is_built_in(str(instance.bridge_file)):
        return None
    config, device = instance.config, instance.config.need("mqtt.device_topic_id")
    service, bridge = (each.format(config.need(_PREFIX)) for each in (_MAPPER, _BRIDGE_OF_MAPPER))
    return Mapper(
        mapper_process.unit_of(instance.profile),
        _health_of(config, _MAPPER),
        f"{config.need('mqtt.topic_root')}/+/+/+/+/cmd/+/+",
        (bridge, service if device == _MAIN_DEVICE else f"{service}#{device}"),
        instance.mapper_file,
    )


def connected_broker(instance: Instance) -> LocalBroker | None:
    """Return the local broker that has the bridge of this instance; None without one, or one that can be asked.

    Settings that cannot be used are a warning, no reason to leave a certificate in doubt: a connection of our own to
    the tenant can decide.
    """
    if not instance.bridge_file.exists():
        return None
    try:
        return broker_of(instance)
    except ConfigurationError as error:
        journal.warning(f"the local broker is not asked: {error}")
        return None


def mosquitto_of(instance: Instance, tenant: Tenant) -> "Mosquitto":
    """Return what mosquitto's files have to say; raises ConfigurationError."""
    from tedge_cert.device.mosquitto import Mosquitto

    config = instance.config
    return Mosquitto(
        tenant,
        listener_of(config),
        config.profile,
        prefix=config.need(_PREFIX),
        health_topic=_health_of(config, _MOSQUITTO),
        keepalive_s=config.seconds("c8y.bridge.keepalive_interval"),
        # "auto" too: every supported mosquitto (2 and later) knows the directive.
        keeps_local_session=config.need("c8y.bridge.include.local_cleansession") != "false",
        smartrest=tuple(config.names("c8y.smartrest.templates")),
        smartrest_1=tuple(config.names("c8y.smartrest1.templates")),
        mqtt_service_topics=tuple(config.names("c8y.mqtt_service.topics")) if _uses_mqtt_service(config) else None,
    )


def listener_of(config: Config) -> "Listener | None":
    """Return the listener that mosquitto gets from us; None where it has its own (mqtt.bind.enabled)."""
    from tedge_cert.device.mosquitto import ExternalListener, Listener

    if config.get("mqtt.bind.enabled") is False:
        return None
    port = config.text("mqtt.external.bind.port")
    address, interface, trust, certificate, key = (
        config.text(f"mqtt.external.{each}")
        for each in ("bind.address", "bind.interface", "ca_path", "cert_file", "key_file")
    )
    external = None if port is None else ExternalListener(port, address, interface, trust, certificate, key)
    return Listener(config.need("mqtt.bind.port"), config.need("mqtt.bind.address"), external)


def files_of(instance: Instance) -> "MosquittoFiles":
    """Return where mosquitto's files of this instance are."""
    from tedge_cert.device.mosquitto import MosquittoFiles

    return MosquittoFiles(
        instance.bridge_file, instance.restart_file, instance.config.is_of_system, instance.manages_services
    )


def _health_of(config: Config, service: str) -> str:
    services = _service_of(config.need("mqtt.device_topic_id"))
    return f"{config.need('mqtt.topic_root')}/{services}/{service.format(config.need(_PREFIX))}/status/health"


def _uses_mqtt_service(config: Config) -> bool:
    """Return whether the bridge connects to the tenant's MQTT service, which also carries topics of any name."""
    return config.get("c8y.mqtt_service.enabled") is True


def _trust_in_broker(config: Config) -> Trust | None:
    for name in ("ca_file", "ca_dir"):
        path = _path(config, name)
        if path is not None:
            return Trust(path, f"{_AUTH}.{name}")
    return None


def _path(config: Config, name: str) -> Path | None:
    value = config.text(f"{_AUTH}.{name}")
    return None if value is None else Path(value)


def _service_of(device_topic_id: str) -> str:
    """Return the service part of a device's topic identifier: ``device/main//`` has ``device/main/service/…``."""
    parts = device_topic_id.split("/")
    if len(parts) == 4 and parts[0] == "device":
        return f"device/{parts[1]}/service"
    return device_topic_id.rstrip("/") + "/service"
