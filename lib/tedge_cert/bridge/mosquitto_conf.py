# SPDX-License-Identifier: Apache-2.0
"""Make the text of mosquitto's configuration: the bridge and the listener (mosquitto.conf(5))."""

import stat
from dataclasses import dataclass, field
from pathlib import Path

from tedge_cert import processes
from tedge_cert.config.credentials import Credentials
from tedge_cert.device.connections import Tenant
from tedge_cert.device.mosquitto import ExternalListener, Listener, Mosquitto
from tedge_cert.errors import ConfigurationError, TedgeCertError

# Pattern, direction and QoS of what the bridge carries; those of the token only where a certificate authenticates.
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
class Found:
    """What the files and programs of the device say, beside the settings: user tedge finds it out, root writes it."""

    device_id: str
    trust_is_directory: bool
    external_trust_is_directory: bool
    # Empty where a certificate authenticates.
    username: str = ""
    password: str = field(default="", repr=False)


def look(wanted: Mosquitto) -> Found:
    """Find out what the configuration needs to know.

    Raises ConfigurationError for credentials that are not usable, and for files that mosquitto would wait for.
    """
    _refuse_pipes(wanted.listener)
    login = wanted.tenant.login() or Credentials("", "")
    return Found(
        wanted.tenant.device_id,
        wanted.tenant.trust.path.is_dir(),
        _trust_is_directory(wanted.listener),
        login.username,
        login.password,
    )


def bridge_text(wanted: Mosquitto, found: Found | None = None) -> str:
    """Return ``c8y-bridge.conf`` (mosquitto.conf(5), "Configuring bridges"); raises ConfigurationError."""
    lines = ["### Bridge", *_connection(wanted, found or look(wanted)), "", "### Topics", *_carried(wanted)]
    for line in lines:
        # No setting has a line break in it, but a name in a certificate may: root starts the broker with these lines.
        if not line.isprintable():
            raise ConfigurationError(
                f"mosquitto cannot be given this {line.partition(' ')[0]}: expected a value of one line without "
                f"control characters; see the subject of {wanted.tenant.certificate}"
            )
    return "\n".join(lines) + "\n"


def _connection(wanted: Mosquitto, found: Found) -> list[str]:
    """Return where the bridge connects to, with which identity, and how it comes back."""
    tenant = wanted.tenant
    host, port = tenant.mqtt
    profile = f"@{wanted.profile}" if wanted.profile else ""
    return [
        f"connection edge_to_c8y{profile}",
        f"address {host}:{port}",
        f"{'bridge_capath' if found.trust_is_directory else 'bridge_cafile'} {tenant.trust.path}",
        f"remote_clientid {found.device_id}",
        f"local_clientid Cumulocity{profile}",
        *_proof_of_identity(tenant, found),
        "try_private false",
        "start_type automatic",
        "cleansession true",
        *(["local_cleansession false"] if wanted.keeps_local_session else []),
        "notifications true",
        "notifications_local_only true",
        f"notification_topic {wanted.health_topic}",
        "bridge_attempt_unsubscribe false",
        f"keepalive_interval {wanted.keepalive_s}",
        # The bridge reads the certificate again when it reconnects: 2.0 between one and two seconds after it was
        # pushed out, 2.1 within one (both count whole seconds, which ``eviction`` makes use of). It is back within half
        # a minute of the network's return.
        "restart_timeout 1 30",
    ]


def _carried(wanted: Mosquitto) -> list[str]:
    """Return what the bridge carries."""
    prefix = wanted.prefix
    lines = [f'topic {each} {prefix}/ ""' for each in _topics(wanted)]
    if wanted.mqtt_service_topics is not None:
        lines.append(f'topic # out 1 {prefix}/mqtt/out/ ""')
        lines += [f'topic {each} in 1 {prefix}/mqtt/in/ ""' for each in wanted.mqtt_service_topics]
    return lines


def _proof_of_identity(tenant: Tenant, found: Found) -> list[str]:
    if tenant.credentials_path is not None:
        return [f"remote_username {found.username}", f"remote_password {found.password}"]
    return [f"bridge_certfile {tenant.certificate}", f"bridge_keyfile {tenant.key}"]


def _topics(wanted: Mosquitto) -> list[str]:
    topics = [*_TOPICS, *(_TOKEN_TOPICS if wanted.tenant.credentials_path is None else ())]
    for template in wanted.smartrest:
        topics += [f"s/uc/{template} out 1", f"s/dc/{template} in 1"]
    if wanted.smartrest_1:
        topics += _SMARTREST_1
    for template in wanted.smartrest_1:
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


def listener_text(listener: Listener | None, found: Found | None = None) -> str | None:
    """Return ``tedge-mosquitto.conf``; None where mosquitto has its own listener. Raises ConfigurationError."""
    if listener is None:
        return None
    local = _LISTENER.format(port=listener.port, address=listener.address)
    is_directory = _trust_is_directory(listener) if found is None else found.external_trust_is_directory
    external = [] if listener.external is None else _external_listener(listener.external, is_directory)
    return local + "".join(f"{each}\n" for each in external)


def _trust_is_directory(listener: Listener | None) -> bool:
    external = listener and listener.external
    return bool(external and external.trust is not None and Path(external.trust).is_dir())


def _refuse_pipes(listener: Listener | None) -> None:
    external = listener and listener.external
    if not external:
        return
    named = {"ca_path": external.trust, "cert_file": external.certificate, "key_file": external.key}
    for name, path in ((name, Path(path)) for name, path in named.items() if path is not None):
        try:
            mode = path.stat().st_mode
        except OSError:
            continue  # Missing, or for root only: mosquitto reports what it cannot read.
        if not stat.S_ISREG(mode) and not (stat.S_ISDIR(mode) and name == "ca_path"):
            raise ConfigurationError(
                f"{path} (mqtt.external.{name}) is no regular file, and mosquitto would wait for it when it starts: "
                f"`sudo tedge config set mqtt.external.{name} FILE`, or unset it"
            )


def _external_listener(wanted: ExternalListener, trust_is_directory: bool) -> list[str]:
    """Return a second listener, for clients on other machines; with trust anchors, they have to show a certificate."""
    trust, certificate, key = wanted.trust, wanted.certificate, wanted.key
    if (certificate is None) is not (key is None) or (trust is not None and certificate is None):
        raise ConfigurationError(
            "mqtt.external.cert_file and mqtt.external.key_file belong together, and mqtt.external.ca_path needs both: "
            "a listener that asks for certificates has to have one; set what is missing, or unset mqtt.external.ca_path"
        )
    lines = [f"listener {wanted.port} {wanted.address}" if wanted.address is not None else f"listener {wanted.port}"]
    if trust is None:
        lines += ["allow_anonymous true", "require_certificate false"]
    else:
        lines += ["allow_anonymous false", "require_certificate true", "use_identity_as_username true"]
    trust_directive = "capath" if trust_is_directory else "cafile"
    optional = {"bind_interface": wanted.interface, trust_directive: trust, "certfile": certificate, "keyfile": key}
    return lines + [f"{name} {value}" for name, value in optional.items() if value is not None]


def version() -> str:
    """Return the version of the broker that is installed; empty if there is none."""
    try:
        # The help of every version begins with its number; the exit code differs.
        said = processes.run(["mosquitto", "-h"]).stdout
    except TedgeCertError:
        return ""
    words = said.partition("\n")[0].split()
    return words[2] if words[:2] == ["mosquitto", "version"] and len(words) > 2 else ""
