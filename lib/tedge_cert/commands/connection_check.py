# SPDX-License-Identifier: Apache-2.0
"""``tedge connect --test``: check that the broker listens, the bridge is up, and a token comes through it."""

import base64
import binascii
import json

from tedge_cert import journal
from tedge_cert.bridge import local_broker, mosquitto_conf
from tedge_cert.bridge.health import Bridge
from tedge_cert.config.values import split_endpoint, to_text
from tedge_cert.device.instance import Instance
from tedge_cert.errors import TedgeCertError
from tedge_cert.tenant import proof
from tedge_cert.terminal import Step

BRIDGE_S = 30.0


def test(instance: Instance) -> None:
    """Check the connection without changing a file; raises TedgeCertError."""
    journal.say(summary(instance, "Testing the connection to"))
    if not instance.bridge_file.exists():
        raise TedgeCertError(
            f"not connected to c8y: {instance.bridge_file} does not exist; `tedge connect {instance.words}` connects it"
        )
    check(instance)
    journal.say("The connection to c8y works.")


def summary(instance: Instance, what: str) -> str:
    """Return what is about to be connected, a line for each fact."""
    host, port = instance.mqtt
    rows = {
        "configuration": instance.config.place("c8y.url")[0],
        "device id": instance.device_id,
        "cloud profile": instance.config.profile or "<none>",
        "cloud host": f"{host}:{port}",
        **_proof_of_identity(instance),
        "bridge": "mosquitto",
        "service manager": "systemd" if instance.manages_services else "none",
        "mosquitto version": mosquitto_conf.version() or "not installed",
    }
    return f"{what} Cumulocity:\n" + "\n".join(f"\t{label}: {value}" for label, value in rows.items())


def _proof_of_identity(instance: Instance) -> dict[str, str]:
    if instance.uses_basic:
        return {"authentication": "user and password", "credentials file": str(instance.credentials_path)}
    return {"authentication": "certificate", "certificate file": str(instance.certificate)}


def check(instance: Instance) -> None:
    """Wait for the bridge and for an answer through it, and warn if another tenant gave it. Raises TedgeCertError.

    The answer is a token, which names its tenant; with user and password it is the device's own id, which does not.
    """
    with Step("Checking that the device is connected"):
        token = _answer_through_bridge(instance)
    issuer = issuer_of(token)
    expected = _hosts(instance)
    if issuer and issuer not in expected.values():
        configured = ", ".join(f"{key} is {host}" for key, host in expected.items())
        journal.warning(
            f"the device is connected to the tenant {issuer}, but {configured}; if that is another tenant, remove the "
            f"certificate of the device there, then `tedge reconnect {instance.words}`"
        )


def issuer_of(token: str) -> str:
    """Return the host that a token names as its issuer (RFC 7519 §4.1.1); empty if it names none."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        issuer = claims.get("iss") if isinstance(claims, dict) else None
        host = str(issuer or "").rpartition("://")[2].partition("/")[0]
        return split_endpoint(host, 0)[0].lower()
    except (binascii.Error, ValueError):
        # Not every token is a JWT.
        return ""


def _hosts(instance: Instance) -> dict[str, str]:
    """Return the host of each setting that names the tenant."""
    found = {"c8y.http": split_endpoint(instance.http, 443)[0], "c8y.mqtt": instance.mqtt[0]}
    # It may be unset where c8y.http and c8y.mqtt are set.
    url = instance.config.get("c8y.url")
    if url is not None:
        found["c8y.url"] = to_text(url)
    return {key: host.lower() for key, host in found.items()}


def _answer_through_bridge(instance: Instance) -> str:
    try:
        with Bridge(instance) as bridge:
            if not bridge.wait_until_up(BRIDGE_S):
                host, port = instance.mqtt
                why = proof.why_no_tls(instance) or f"{instance.health_topic} is not 1"
                raise TedgeCertError(
                    f"the bridge to {host}:{port} does not come up: {why}; "
                    "see `journalctl -u mosquitto` and /var/log/mosquitto/mosquitto.log"
                )
            return bridge.own_id() if instance.uses_basic else bridge.token()
    except OSError as error:
        raise TedgeCertError(local_broker.explain(instance, error)) from error
