# SPDX-License-Identifier: Apache-2.0
"""Get a token of the device: for its certificate over HTTPS, through the bridge, or over a connection of our own."""

from tedge_cert import journal
from tedge_cert.bridge.health import Bridge
from tedge_cert.bridge.kinds import open_bridge
from tedge_cert.config.credentials import Credentials
from tedge_cert.deadline import Deadline
from tedge_cert.device.connections import LocalBroker, Tenant
from tedge_cert.errors import NoAnswerError, RequestRefusedError
from tedge_cert.net.failures import reason_of
from tedge_cert.net.tls import ClientContext
from tedge_cert.tenant import device_token, smartrest
from tedge_cert.tenant.own_connection import open_own, verdict_of
from tedge_cert.x509.client_identity import client_context


def get_credential(tenant: Tenant, broker: LocalBroker | None, again: bool) -> str | Credentials:
    """Return the token for a request to the tenant, or user and password where the device uses them.

    ``broker`` has the bridge, if there is one; ``again``: the first token was refused. Raises NoAnswerError or
    ConfigurationError.
    """
    return tenant.login() or request_token(tenant, broker, again)


def request_token(tenant: Tenant, broker: LocalBroker | None, again: bool = False) -> str:
    """Get a token: for the certificate over HTTPS where the tenant offers that, otherwise by MQTT.

    By MQTT it comes through the bridge, or over a connection of our own where no bridge works. Raises NoAnswerError
    that says why both failed.
    """
    if again:
        # Any local client can publish to the topic of the answer; no other program uses a connection of our own.
        return _token_of_our_own(tenant, "the first token was refused")
    return device_token.request(tenant) or _token_by_mqtt(tenant, broker)


def _token_by_mqtt(tenant: Tenant, broker: LocalBroker | None) -> str:
    bridge = open_bridge(broker)
    if bridge is None:
        return _token_of_our_own(tenant, "there is no bridge or no broker")
    with bridge:
        token, reason = _through(bridge)
    if not token:
        return _token_of_our_own(tenant, reason)
    journal.info("token received through the bridge")
    return token


def _token_of_our_own(tenant: Tenant, reason: str) -> str:
    journal.info(f"{reason}: asking for a token over a connection of our own")
    context = client_context(tenant.trust, tenant.certificate, tenant.key)
    try:
        token = request_token_directly(tenant, context)
    except OSError as error:
        verdict = verdict_of(error, context, tenant)
        why = f"no token: {reason}, and over a connection of our own: {verdict.reason}"
        if verdict.refused:
            raise RequestRefusedError(why) from error
        raise NoAnswerError(f"{why}; check the network and `tedge connect c8y --test`") from error
    journal.info("token received over a connection of our own")
    return token


def request_token_directly(tenant: Tenant, context: ClientContext | None = None) -> str:
    """Get a token over a connection with the active certificate, by ``context`` if the caller has one.

    Raises OSError.
    """
    context = context or client_context(tenant.trust, tenant.certificate, tenant.key)
    with open_own(tenant, context) as connection:
        connection.subscribe(smartrest.TOKEN_GIVEN)
        connection.publish(smartrest.TOKEN_WANTED, "", qos=0)
        # One wait for all messages: a tenant may send others, without end.
        deadline = Deadline(2 * smartrest.TOKEN_WAIT_S)
        while True:
            message = connection.next_message(deadline.left_s())
            if token := smartrest.token_in(message.payload.decode("utf-8", "replace")):
                return token
            if deadline.passed():
                raise TimeoutError("no token among the messages that came")


def _through(bridge: Bridge) -> tuple[str, str]:
    if not bridge.is_up:
        return "", "the bridge is down"
    try:
        return smartrest.token_through(bridge), ""
    except (NoAnswerError, OSError) as error:
        return "", reason_of(error)
