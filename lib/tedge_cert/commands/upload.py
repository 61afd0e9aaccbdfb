# SPDX-License-Identifier: Apache-2.0
"""``tedge cert upload``: make the tenant trust a certificate that the device signed itself."""

import argparse
import json
import os
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat.primitives.serialization import Encoding

from tedge_cert import journal, terminal
from tedge_cert.authority import answer_checks
from tedge_cert.cli.arguments import Parser
from tedge_cert.config.credentials import Credentials
from tedge_cert.device.connection_settings import server_of
from tedge_cert.device.instance import Instance
from tedge_cert.errors import CertificateError, ConfigurationError, RequestRefusedError
from tedge_cert.net import https
from tedge_cert.net.authorization import authorization
from tedge_cert.net.https import HttpAnswer, Request
from tedge_cert.net.server import Server
from tedge_cert.x509 import certificate
from tedge_cert.x509.certificate import Certificate

ADVICE = {
    400: "the tenant could not read the request",
    401: "the tenant does not know this user with this password: check C8Y_USER and C8Y_PASSWORD, or the answers given",
    403: "this user may not do it: it takes one who manages the tenant (such as the role Tenant Manager)",
    422: "the tenant does not take this certificate",
    429: "the tenant is busy: try again later",
}


def upload(instance: Instance, operator: Credentials, of_authority: bool = False) -> tuple[Path, bool]:
    """Make the tenant trust the candidate, or the active certificate if there is none; raises TedgeCertError.

    With ``of_authority`` it is the authority at the top of the chain in that file. Return the file, and whether the
    tenant trusted the certificate before.
    """
    path, found = _to_be_uploaded(instance)
    server = server_of(instance.config)
    name = found.validity.device_id
    if of_authority:
        found = _authority_of(found, path)
        name = found.validity.common_name or found.subject
    body = {
        "autoRegistrationEnabled": True,
        "certInPemFormat": found.leaf.public_bytes(Encoding.PEM).decode(),
        "name": name,
        "status": "ENABLED",
    }
    with terminal.waiting(f"Uploading {path} to {server.host}"):
        tenant = quote(_tenant_id(server, operator), safe="")
        answer = _as_operator(
            server, operator, "POST", f"/tenant/tenants/{tenant}/trusted-certificates", json.dumps(body)
        )
    if answer.status not in (200, 201, 409):
        raise https.refusal(answer, ADVICE)
    return path, answer.status == 409


def _to_be_uploaded(instance: Instance) -> tuple[Path, Certificate]:
    path = instance.candidate
    if not os.path.lexists(path):
        return instance.certificate, certificate.load(instance.certificate)
    try:
        # Any local user may have put it there, so read it with the checks for a candidate.
        leaf, *chain = certificate.from_pem(answer_checks.read_candidate(path))
        return path, Certificate(leaf, tuple(chain))
    except (ValueError, answer_checks.UnfitCertificateError) as error:
        raise CertificateError(
            f"the new certificate {path} cannot be uploaded: {error}; remove it to upload {instance.certificate}"
        ) from error


def _authority_of(found: Certificate, path: Path) -> Certificate:
    """Return the last certificate of the chain that signed one another; raises CertificateError without any."""
    chain = answer_checks.with_chain_of(found, [Certificate(each) for each in found.chain]).chain
    if not chain:
        raise CertificateError(
            f"{path} does not hold the certificate of its authority ({found.issuer}): append it to the file, or upload "
            "it in the device management under Management, Trusted certificates"
        )
    return Certificate(chain[-1])


def _tenant_id(server: Server, operator: Credentials) -> str:
    answer = _as_operator(server, operator, "GET", "/tenant/currentTenant")
    if answer.status != 200:
        raise https.refusal(answer, ADVICE)
    try:
        name = answer.json()["name"]
    except (ValueError, KeyError, TypeError):
        name = None
    if isinstance(name, str) and name:
        return name
    start = " ".join(answer.content[:60].decode("latin-1").split())
    raise RequestRefusedError(
        f"{answer.url} did not name the tenant: expected JSON with a text in 'name', it begins {start!r}; "
        f"{answer.server.elsewhere}"
    )


def _as_operator(server: Server, operator: Credentials, method: str, path: str, body: str = "") -> HttpAnswer:
    fields = {"Accept": "application/json", **authorization(operator)}
    if body:
        fields["Content-Type"] = "application/json"
    return https.ask(server, Request(method, path, fields, body.encode()))


def add_to(parser: Parser) -> None:
    """Add the options; values of the environment are no defaults of theirs, because help prints defaults."""
    parser.environment |= {"C8Y_USER": "as --user", "C8Y_PASSWORD": "as --password"}
    parser.add_argument(
        "--authority",
        action="store_true",
        help="upload the certificate of your own authority: the last one of the chain in that file",
    )
    parser.add_argument(
        "--user", metavar="USER", help="a user who may manage the tenant (default: $C8Y_USER, or asked)"
    )
    parser.add_argument(
        "--password",
        metavar="PASSWORD",
        help="better set in $C8Y_PASSWORD or typed at the prompt, because all users of the device can read a command "
        "line",
    )


def joined(words: list[str]) -> list[str]:
    """Join ``--password`` and its value, so that one that begins with a hyphen is not taken for an option."""
    glued: list[str] = []
    rest = iter(words)
    for word in rest:
        value = next(rest, None) if word == "--password" else None
        glued.append(word if value is None else f"{word}={value}")
    return glued


def operator_of(arguments: argparse.Namespace) -> Credentials:
    """Find user and password in arguments and environment, and ask for what is missing; raises ConfigurationError."""
    # Taken out of the environment, so that no child gets them.
    user, password, deprecated = (os.environ.pop(each, "") for each in ("C8Y_USER", "C8Y_PASSWORD", "C8YPASS"))
    if deprecated and not (arguments.password or password):
        journal.warning("C8YPASS is deprecated; C8Y_PASSWORD is its new name")
    user = arguments.user or user or _prompt("Enter username: ", "user", "--user or C8Y_USER")
    password = arguments.password or password or deprecated
    return Credentials(user, password or _prompt("Enter password: ", "password", "C8Y_PASSWORD", secret=True))


def _prompt(prompt: str, what: str, sources: str, secret: bool = False) -> str:
    given = terminal.ask(prompt, secret)
    if not given:
        raise ConfigurationError(f"no {what} for the tenant: give one with {sources}, or at the prompt")
    return given
