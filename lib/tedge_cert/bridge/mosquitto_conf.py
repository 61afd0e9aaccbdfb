# SPDX-License-Identifier: Apache-2.0
"""Mosquitto's configuration: the listener, the bridge, and how the broker is led to both."""

from pathlib import Path

from tedge_cert import processes
from tedge_cert.device.instance import Instance
from tedge_cert.errors import ConfigurationError, TedgeCertError

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
        f"{'bridge_capath' if instance.trust.path.is_dir() else 'bridge_cafile'} {instance.trust.path}",
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


_LISTENER = """\
per_listener_settings true
connection_messages true
log_type error
log_type warning
log_type notice
log_type information
log_type subscribe
log_type unsubscribe
message_size_limit 268435455
listener {port} {address}
allow_anonymous true
require_certificate false
"""


def text_of_listener(instance: Instance) -> str | None:
    """``tedge-mosquitto.conf`` (mosquitto.conf(5)); None where the listener is somebody else's (mqtt.bind.enabled)."""
    if instance.config.get("mqtt.bind.enabled") is False:
        return None
    need = instance.config.need
    local = _LISTENER.format(port=need("mqtt.bind.port"), address=need("mqtt.bind.address"))
    return local + "".join(f"{each}\n" for each in _external_listener(instance))


def _external_listener(instance: Instance) -> list[str]:
    """A second listener, for clients elsewhere; with trust anchors, its clients have to show a certificate."""
    port, address, interface, trust, certificate, key = (
        instance.config.get(f"mqtt.external.{each}")
        for each in ("bind.port", "bind.address", "bind.interface", "ca_path", "cert_file", "key_file")
    )
    if port is None:
        return []
    if (certificate is None) is not (key is None) or (trust is not None and certificate is None):
        raise ConfigurationError(
            "mqtt.external.cert_file and mqtt.external.key_file belong together, and mqtt.external.ca_path needs both: "
            "a listener that asks for certificates has to have one; set what is missing, or unset mqtt.external.ca_path"
        )
    lines = [f"listener {port} {address}" if address is not None else f"listener {port}"]
    if trust is None:
        lines += ["allow_anonymous true", "require_certificate false"]
    else:
        lines += ["allow_anonymous false", "require_certificate true", "use_identity_as_username true"]
    trust_directive = "capath" if trust is not None and Path(str(trust)).is_dir() else "cafile"
    optional = {"bind_interface": interface, trust_directive: trust, "certfile": certificate, "keyfile": key}
    return lines + [f"{name} {value}" for name, value in optional.items() if value is not None]


def version() -> str:
    """The version of the broker that is installed; empty if there is none."""
    try:
        # Asked for help, every version says first what it is, whatever its exit code.
        said = processes.run(["mosquitto", "-h"]).stdout
    except TedgeCertError:
        return ""
    words = said.partition("\n")[0].split()
    return words[2] if words[:2] == ["mosquitto", "version"] and len(words) > 2 else ""
