# SPDX-License-Identifier: Apache-2.0
"""Examine what a renewal needs, for ``tedge cert status --online``: names, TLS, clock, disk, broker and bridge.

Each check is bounded in time, and one whose ground is missing is not tried. No password and no token is
sent, and the bridge is not pushed out: at the MQTT endpoint there is only a TLS handshake.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from tedge_cert import cures
from tedge_cert.config import auth_method
from tedge_cert.config.values import is_ip, split_endpoint
from tedge_cert.device.connection_settings import server_of, tenant_of
from tedge_cert.device.connections import Tenant
from tedge_cert.device.instance import Instance
from tedge_cert.disk.space import space_in
from tedge_cert.errors import CertificateError
from tedge_cert.net import https, server_clock
from tedge_cert.net.https import BrokenExchangeError, HttpAnswer, Limits, Request
from tedge_cert.net.resolver import reaching
from tedge_cert.net.server import Server
from tedge_cert.net.tls import ClientContext, verifying_context
from tedge_cert.status.facts import Check, Facts
from tedge_cert.tenant import device_token, own_connection, proof, rest

NAME_S = 5.0
TLS_S = 5.0
REQUEST = Limits(5.0, 5.0, 10.0, 65_536)
CLOCK_CURE = "clock"
"""Stands for the cure of a clock, which depends on what keeps it."""


def examine(instance: Instance, facts: Facts) -> Iterator[Check]:
    """Check what a renewal of ``instance`` needs, nearest to the tenant first; raises ConfigurationError."""
    tenant = tenant_of(instance, facts.device_id)
    server, option = server_of(instance.config), instance.config.option
    known: dict[str, bool] = {}
    for host in _hosts_to_look_up(tenant):
        check = _name(host)
        known[host] = bool(check.is_good)
        yield check
    yield from _server(server, known, option)
    yield from _with_our_certificate(instance, facts, tenant, known, option)
    yield from _disk(instance, facts)
    yield from _broker(facts)


def _hosts_to_look_up(tenant: Tenant) -> list[str]:
    """Return the names that this device has to look up; a proxy looks up the host of HTTPS itself."""
    hosts = [tenant.mqtt[0], *([] if tenant.proxy else [tenant.name])]
    return sorted({each for each in hosts if not is_ip(each)})


def _name(host: str) -> Check:
    try:
        with reaching(NAME_S, f"looking up {host}"):
            found = sorted({each[4][0] for each in socket.getaddrinfo(host, None)})
    except OSError as error:
        said = f"no address is found for {host}: {error.strerror or error}"
        return Check("name", host, False, said, f"getent hosts {host}")
    return Check("name", host, True, f"{host} is {', '.join(map(str, found[:2]))}")


def _server(server: Server, known: dict[str, bool], option: str) -> Iterator[Check]:
    """Check HTTPS, by a request without a credential, and our clock against that of the answer."""
    host, port = split_endpoint(server.host, 443)
    endpoint = f"{host}:{port}"
    if server.proxy is None and not known.get(server.name, True):
        yield Check("https", endpoint, None, f"not tried: there is no address of {host}")
        return
    try:
        answer = https.ask(server, Request("GET", rest.OPEN_PATH), REQUEST, compares_clock=False)
    except BrokenExchangeError as error:
        yield Check("https", endpoint, False, str(error), f"tedge config get {server.setting}{option}")
        return
    yield Check("https", endpoint, True, f"{endpoint} answers over TLS")
    yield _clock(host, answer)


def _clock(host: str, answer: HttpAnswer) -> Check:
    found = server_clock.difference(answer.headers)
    if found is None:
        return Check("clock", host, None, f"not known: {host} sends no date")
    said = f"the clock is {found} that of {host}"
    return Check("clock", host, not found.is_too_large, said, CLOCK_CURE if found.is_too_large else "")


def _with_our_certificate(
    instance: Instance, facts: Facts, tenant: Tenant, known: dict[str, bool], option: str
) -> Iterator[Check]:
    """Check TLS with the certificate of the device at the endpoint for tokens, and at that of MQTT."""
    basic = auth_method.is_basic(instance.config)
    mqtt = "{}:{}".format(*tenant.mqtt)
    try:
        reason = "" if basic else _why_not_shown(facts)
        context = verifying_context(tenant.trust) if basic or reason else own_connection.own_context(tenant)
    except CertificateError as error:
        reason, context = str(error), None
    if not basic and device_token.may_be_asked(tenant):
        yield _tokens(tenant, context if not reason else None, reason)
    if not known.get(tenant.mqtt[0], True):
        yield Check("mqtt", mqtt, None, f"not tried: there is no address of {tenant.mqtt[0]}")
    elif reason or context is None:
        yield Check("mqtt", mqtt, None, f"not tried: {reason}")
    else:
        with_what = "" if basic else " with our certificate"
        fault = proof.why_no_tls(tenant, context, TLS_S)
        if fault:
            yield Check("mqtt", mqtt, False, fault, f"tedge config get c8y.mqtt{option}")
        else:
            yield Check("mqtt", mqtt, True, f"{mqtt} speaks TLS{with_what}")


def _why_not_shown(facts: Facts) -> str:
    """Return why the certificate is shown to no server; empty if it is. An expired one is not presented to anyone."""
    active = facts.certificate
    if active is None or active.fault:
        return "there is no certificate"
    if facts.key.fits is not True or facts.key.looked_at_s:
        return f"the key {facts.key.path} cannot be used by this user"
    return "" if active.not_before_s <= facts.now_s <= active.not_after_s else "the certificate is not valid now"


def _tokens(tenant: Tenant, context: ClientContext | None, reason: str) -> Check:
    """Check the endpoint for tokens by client certificate, which not every tenant has."""
    server, endpoint = tenant.token_server, tenant.token_server.host
    if context is None:
        return Check("token", endpoint, None, f"not tried: {reason}")
    try:
        https.ask(server, Request("GET", rest.OPEN_PATH), REQUEST, context, compares_clock=False)
    except BrokenExchangeError:
        if context.refusal is not None:
            said = f"{endpoint} refused the certificate (TLS alert: {context.refusal})"
            return Check("token", endpoint, False, f"{said}: {own_connection.why_refused(tenant.certificate)}", "")
        # A renewal then gets its token over MQTT.
        return Check("token", endpoint, None, f"{endpoint} does not answer; not every tenant gives tokens there")
    return Check("token", endpoint, True, f"{endpoint} speaks TLS with our certificate")


def _disk(instance: Instance, facts: Facts) -> Iterator[Check]:
    directories = (instance.certificate.parent, instance.state_file.parent)
    for directory in sorted(set(map(_that_exists, directories))):
        yield _space(directory, facts)


def _that_exists(directory: Path) -> Path:
    """Return the directory, or the one in which it will be made."""
    return next((each for each in (directory, *directory.parents) if each.exists()), directory)


def _space(directory: Path, facts: Facts) -> Check:
    try:
        space = space_in(directory)
    except OSError as error:
        return Check("disk", str(directory), None, f"not known of {directory}: {error.strerror}")
    fault, cure = space.fault, space.cure
    if not fault and not facts.is_other_user and not os.access(directory, os.W_OK | os.X_OK):
        fault, cure = f"user tedge may not write in {directory}", cures.by_root("reconnect", facts.words)
    return Check("disk", str(directory), not fault, fault or f"{directory} has {space.free_bytes >> 20} MiB free", cure)


def _broker(facts: Facts) -> Iterator[Check]:
    """Repeat what the screen says of broker and bridge; their problems and cures stand there already."""
    if not facts.bridge.is_configured:
        return
    answers = facts.bridge.is_up is not None
    yield Check("broker", "mosquitto", answers, f"the local broker {'answers' if answers else 'does not answer'}")
    if answers:
        up = bool(facts.bridge.is_up)
        yield Check("bridge", facts.name, up, f"the bridge is {'connected' if up else 'not connected'}")
