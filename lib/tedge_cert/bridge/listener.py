# SPDX-License-Identifier: Apache-2.0
"""What mosquitto listens on: the local listener, and one for clients elsewhere where that is set."""

from pathlib import Path

from tedge_cert.device.instance import Instance
from tedge_cert.errors import ConfigurationError

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
