# SPDX-License-Identifier: Apache-2.0
"""What is particular to Cumulocity beyond the proof: how a device gets a token."""

import ssl
from dataclasses import replace

from tedge_cert import journal
from tedge_cert.bridge.health import TOKEN_WAIT_S, Bridge, open_bridge, token_in
from tedge_cert.config.credentials import Credentials
from tedge_cert.deadline import Deadline
from tedge_cert.device.instance import Instance
from tedge_cert.errors import NoAnswerError
from tedge_cert.net.tls import client_context
from tedge_cert.net.tls_errors import explain
from tedge_cert.tenant import device_token
from tedge_cert.tenant.device_token import TokenEndpoint
from tedge_cert.tenant.proof import open_own


def who_asks(instance: Instance, again: bool = False) -> str | Credentials:
    """What a request to the tenant says of who asks: a token, or user and password where these stand in for it.

    Raises NoAnswerError or ConfigurationError.
    """
    return instance.credentials if instance.uses_basic else request_token(instance, again)


def request_token(instance: Instance, again: bool = False) -> str:
    """A token of the device: for its certificate alone where the tenant offers that, else by MQTT.

    That is through the bridge, or over a connection of our own where there is none that works. Raises NoAnswerError
    that tells of both of these.
    """
    if again:
        # Any local client can publish to the topic of the answer; a connection of our own is nobody's but ours.
        return _token_of_our_own(instance, "the first token was refused")
    return device_token.request(endpoint_of(instance)) or _token_by_mqtt(instance)


def endpoint_of(instance: Instance) -> TokenEndpoint:
    """Name the values by which the tenant is asked for tokens for client certificates."""
    host, port = instance.access_token_endpoint
    server = replace(instance.server, host=f"{host}:{port}")
    return TokenEndpoint(server, instance.certificate, instance.key, instance.access_token_file)


def _token_by_mqtt(instance: Instance) -> str:
    bridge = open_bridge(instance)
    if bridge is None:
        reason = "there is no bridge or no broker"
    else:
        with bridge:
            token, reason = _through(bridge)
        if token:
            journal.info("token received through the bridge")
            return token
    return _token_of_our_own(instance, reason)


def _token_of_our_own(instance: Instance, reason: str) -> str:
    journal.info(f"{reason}: asking for a token over a connection of our own")
    try:
        token = request_token_directly(instance)
    except OSError as error:
        host, port = instance.mqtt
        why = error.strerror or str(error)
        if isinstance(error, ssl.SSLError):
            why = explain(error, f"{host}:{port}", instance.trust)
        raise NoAnswerError(
            f"no token: {reason}, and over a connection of our own to {host}:{port}: {why}; "
            "check the network and `tedge connect c8y --test`"
        ) from error
    journal.info("token received over a connection of our own")
    return token


def request_token_directly(instance: Instance) -> str:
    """A token over a connection with the active certificate; raises OSError."""
    context = client_context(instance.trust, instance.certificate, instance.key)
    with open_own(instance, context) as connection:
        connection.subscribe("s/dat")
        connection.publish("s/uat", "", qos=0)
        # One wait for all messages: a tenant may send others, without end.
        deadline = Deadline(2 * TOKEN_WAIT_S)
        while True:
            message = connection.next_message(deadline.left_s())
            if token := token_in(message.payload.decode("utf-8", "replace")):
                return token
            if deadline.passed():
                raise TimeoutError("no token among the messages that came")


def _through(bridge: Bridge) -> tuple[str, str]:
    if not bridge.is_up:
        return "", "the bridge is down"
    try:
        return bridge.token(), ""
    except (NoAnswerError, OSError) as error:
        return "", str(error)
