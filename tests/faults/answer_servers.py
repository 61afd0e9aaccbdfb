# SPDX-License-Identifier: Apache-2.0
"""Bad answers: servers that are none, refusals, bodies, certificates and tokens."""

import base64

import pytest

from faults.answers import RENEW, VERIFY, Row, Standing, fault, mqtt_port, port, setting, status
from tenant.pkcs7 import certs_only
from tenant.ports import free_port
from unit.connected import issue

WHOLE = (pytest.mark.whole,)
EMPTY_MESSAGE = base64.b64encode(certs_only([], indefinite=True)).decode()
DATE = "Wed, 25 Nov 2099 10:00:00 GMT"
ELSEWHERE = "https://e.example/"


def captive_portal(standing: Standing) -> None:
    """Answer so on every path, for every client."""
    for where in ("est", "http"):
        fault(where, do="html")(standing)


def silent_mqtt(standing: Standing) -> None:
    """A candidate, and a tenant that accepts connections and says no more, while the bridge keeps what it has."""
    issue(standing.device)
    fault("mqtt", do="silent-at-accept")(standing)


ROWS = [
    Row(
        "server unknown",
        setting('http = "127.0.0.1:', 'http = "nowhere.invalid:'),
        {RENEW: 1},
        "no answer from https://nowhere.invalid:",
    ),
    Row(
        "server that refuses",
        port(lambda _: free_port()),
        {RENEW: 1},
        "Connection refused; check the network and c8y.http",
    ),
    Row(
        "server of another name",
        setting('http = "127.0.0.1:', 'http = "[::ffff:127.0.0.1]:'),
        {RENEW: 1},
        "check the host that is configured",
    ),
    Row(
        "server that is silent",
        port(lambda s: s.silent.getsockname()[1]),
        {RENEW: 1},
        "no answer from https://127.0.0.1:",
        marks=WHOLE,
    ),
    Row(
        "server that drips",
        fault(do="drip", interval_s=1.0),
        {RENEW: 1},
        "the whole request took longer than 60 s",
        marks=WHOLE,
    ),
    Row("server that never answers", fault(do="silence"), {RENEW: 1}, "no answer from https://<HTTP>", marks=WHOLE),
    Row("server that hangs up", fault(do="close"), {RENEW: 1}, "no answer from https://<HTTP>"),
    Row("trust anchors missing", setting('server-ca.pem"', 'no-ca.pem"'), {RENEW: 1}, "c8y.root_cert_path"),
    *(
        status(code, f"to go to {ELSEWHERE}, which is not followed", Location=ELSEWHERE)
        for code in (301, 302, 303, 307, 308)
    ),
    status(202, "the request waits for approval"),
    status(204, "answered 204"),
    status(400, "answered 400"),
    status(401, "answered 401", evicts=True),
    status(403, "answered 403"),
    status(404, "answered 404"),
    status(429, "to be asked again in 120 s", Retry_After="120"),
    status(503, "to be asked again in 120 s", Retry_After="120"),
    status(503, "to be asked again in ", Retry_After=DATE),
    status(503, "answered 503", Retry_After="soon"),
    status(500, "the server is out of order"),
    Row("empty body", fault(do="empty"), {RENEW: 1}, "an empty body"),
    Row("cut-off body", fault(do="truncated"), {RENEW: 1}, "no answer from https://<HTTP>"),
    Row("oversized body", fault(do="oversized"), {RENEW: 1}, "more than 1048576 bytes"),
    Row("body that is no base64", fault(do="garbage"), {RENEW: 1}, "something that is no certificate"),
    Row("captive portal that answers 200 with HTML", captive_portal, {RENEW: 1}, "it begins '<!DOCTYPE html>"),
    Row(
        "middlebox that opens TLS",
        port(lambda s: s.middlebox.port),
        {RENEW: 1},
        "cannot speak TLS with https://127.0.0.1:",
    ),
    Row(
        "middlebox that opens TLS, for MQTT",
        mqtt_port(lambda s: s.middlebox.port),
        {VERIFY: 1},
        "is kept for the next run",
    ),
    Row("MQTT that refuses", mqtt_port(lambda _: free_port()), {VERIFY: 1}, "is kept for the next run"),
    Row("MQTT that is silent", silent_mqtt, {VERIFY: 1}, "is kept for the next run", marks=WHOLE),
    Row(
        "body that is no PKCS#7",
        fault(do="status", status=200, body="aGVsbG8gd29ybGQ="),
        {RENEW: 1},
        "something that is no certificate",
    ),
    Row(
        "PKCS#7 without certificates",
        fault(do="status", status=200, body=EMPTY_MESSAGE),
        {RENEW: 1},
        "holds no certificate",
    ),
    Row("certificate for another key", fault(do="wrong-key"), {RENEW: 1}, "is for the key of this device"),
    Row(
        "certificate for another name",
        fault(do="wrong-name"),
        {RENEW: 1},
        "issued to another-device, expected the device id",
    ),
    Row("certificate already expired", fault(do="expired"), {RENEW: 1}, "it expired"),
    Row(
        "certificate that begins in days",
        fault(do="not-yet-valid", seconds=200_000),
        {RENEW: 1},
        "is kept as <CERT>.new until it is valid: the clock is wrong",
        changes=True,
    ),
    Row(
        "certificate that begins in minutes",
        fault(do="not-yet-valid", seconds=600),
        {RENEW: 1},
        "is kept as <CERT>.new until it is valid: the clock is wrong",
        changes=True,
    ),
    Row(
        "certificate shorter-lived than the current one",
        fault(do="lifetime", seconds=86_400),
        {"tedge-cert-renew --systemd c8y": 1},
        "not later than the certificate",
    ),
    Row("token that was not issued", fault("token", do="malformed"), {RENEW: 1}, "answered 401", evicts=True),
    Row(
        "token malformed",
        fault("token", do="malformed", payload="71,a b"),
        {RENEW: 1},
        "no token",
        evicts=True,
        marks=WHOLE,
    ),
    Row("token late", fault("token", do="late", delay_s=30), {RENEW: 1}, "no token", evicts=True, marks=WHOLE),
    Row("token absent", fault("token", do="silence"), {RENEW: 1}, "no token", evicts=True, marks=WHOLE),
]
