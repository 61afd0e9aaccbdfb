# SPDX-License-Identifier: Apache-2.0
"""``tedge connect --test``: check that the broker listens, the bridge is up, and a token comes through it."""

import base64
import json

from tedge_cert import journal
from tedge_cert.bridge import local_broker, mosquitto_conf
from tedge_cert.bridge.health import Bridge
from tedge_cert.config.values import split_endpoint
from tedge_cert.device import profiles
from tedge_cert.device.connection_settings import broker_of, tenant_of
from tedge_cert.device.connections import LocalBroker, Tenant
from tedge_cert.device.instance import Instance
from tedge_cert.errors import NoAnswerError, TedgeCertError
from tedge_cert.tenant import proof, smartrest
from tedge_cert.terminal import step
from tedge_cert.x509 import certificate, clock

BRIDGE_S = 30.0


def test(instance: Instance) -> None:
    """Check the connection, and that no other profile conflicts, without changing a file; raises TedgeCertError."""
    tenant = tenant_of(instance)
    journal.say(summary(instance, tenant, "Testing the connection to"))
    profiles.check_conflicts(instance)
    if not instance.bridge_file.exists():
        raise TedgeCertError(
            f"not connected to c8y: {instance.bridge_file} does not exist; "
            f"`sudo tedge connect {instance.words}` connects it"
        )
    check(instance, tenant)
    fault = _fault_of_certificate(tenant)
    if fault:
        journal.warning(f"the session began before this, and when it ends the device cannot connect again: {fault}")
    journal.say("The connection to c8y works.")


def summary(instance: Instance, tenant: Tenant, what: str) -> str:
    """Return what is about to be connected, a line for each fact."""
    host, port = tenant.mqtt
    rows = {
        "configuration": instance.config.place("c8y.url")[0],
        "device id": tenant.device_id,
        "cloud profile": instance.profile or "<none>",
        "cloud host": f"{host}:{port}",
        **_proof_of_identity(tenant),
        "bridge": "mosquitto",
        "service manager": "systemd" if instance.manages_services else "none",
        "mosquitto version": mosquitto_conf.version() or "not installed",
    }
    return f"{what} Cumulocity:\n" + "\n".join(f"\t{label}: {value}" for label, value in rows.items())


def _proof_of_identity(tenant: Tenant) -> dict[str, str]:
    if tenant.credentials_path is not None:
        return {"authentication": "user and password", "credentials file": str(tenant.credentials_path)}
    return {"authentication": "certificate", "certificate file": str(tenant.certificate)}


def check(instance: Instance, tenant: Tenant) -> None:
    """Wait for the bridge and for an answer through it, and warn if another tenant gave it. Raises TedgeCertError.

    The answer is a token, which names its tenant; with user and password it is the device's own id, which does not.
    """
    with step("Checking that the device is connected"):
        token = _answer_through_bridge(broker_of(instance), tenant)
    issuer = issuer_of(token)
    expected = _hosts(instance, tenant)
    if issuer and issuer not in expected.values():
        configured = ", ".join(f"{key} is {host}" for key, host in expected.items())
        journal.warning(
            f"the device is connected to the tenant {issuer}, but {configured}; if that is another tenant, remove the "
            f"certificate of the device there, then `sudo tedge reconnect {instance.words}`"
        )


def issuer_of(token: str) -> str:
    """Return the host that a token names as its issuer (RFC 7519 §4.1.1); empty if it names none."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        issuer = claims.get("iss") if isinstance(claims, dict) else None
        host = str(issuer or "").rpartition("://")[2].partition("/")[0]
        return split_endpoint(host, 0)[0].lower()
    except (ValueError, RecursionError):
        # Not every token is a JWT, and any local client can publish where tokens come: also brackets without end.
        return ""


def _hosts(instance: Instance, tenant: Tenant) -> dict[str, str]:
    """Return the host of each setting that names the tenant."""
    found = {"c8y.http": split_endpoint(tenant.host, 443)[0], "c8y.mqtt": tenant.mqtt[0]}
    # It may be unset where c8y.http and c8y.mqtt are set.
    url = instance.config.text("c8y.url")
    if url is not None:
        found["c8y.url"] = url
    return {key: host.lower() for key, host in found.items()}


def _answer_through_bridge(broker: LocalBroker, tenant: Tenant) -> str:
    try:
        with Bridge(broker) as bridge:
            if not bridge.wait_until_up(BRIDGE_S):
                host, port = tenant.mqtt
                why = (
                    _why_not(tenant) or f"the bridge to {host}:{port} does not come up: {broker.health_topic} is not 1"
                )
                raise TedgeCertError(
                    f"not connected: {why}; see `sudo journalctl -u mosquitto` and /var/log/mosquitto/mosquitto.log"
                )
            try:
                by_certificate = tenant.credentials_path is None
                return smartrest.token_through(bridge) if by_certificate else smartrest.own_id_through(bridge)
            except NoAnswerError as error:
                # mosquitto takes a while to see that the network is gone, and still says that the bridge is up.
                why = _why_not(tenant)
                raise TedgeCertError(f"not connected: {why}; {error}" if why else str(error)) from error
    except OSError as error:
        raise TedgeCertError(local_broker.explain(broker, error)) from error


def _why_not(tenant: Tenant) -> str:
    """Return why the tenant cannot be reached, or takes the certificate no more; an expired one is not shown to it."""
    return _fault_of_certificate(tenant) or proof.why_no_tls(tenant)


def _fault_of_certificate(tenant: Tenant) -> str:
    if tenant.credentials_path is not None:
        return ""
    try:
        clock.check_presentable(certificate.load(tenant.certificate), tenant.certificate)
    except TedgeCertError as error:
        return str(error)
    return ""
