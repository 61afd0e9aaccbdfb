# SPDX-License-Identifier: Apache-2.0
"""``tedge http``: send a request to the tenant with the device's own token."""

import argparse
import mimetypes
import posixpath
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from tedge_cert.cli import entry
from tedge_cert.cli.arguments import Parser
from tedge_cert.cli.entry import add_profile
from tedge_cert.config import auth_method, credentials
from tedge_cert.device.connection_settings import connected_broker, tenant_of
from tedge_cert.device.connections import LocalBroker, Tenant
from tedge_cert.device.instance import Instance
from tedge_cert.errors import TedgeCertError
from tedge_cert.net import https
from tedge_cert.net.https import Limits, Request, Sink
from tedge_cert.tenant import rest, token
from tedge_cert.terminal import body_sink, waiting
from tedge_cert.x509 import certificate, clock

# Files are sent and received too, also over slow links.
READ_S = 60.0
DEADLINE_S = 300.0
LIMIT_BYTES = 1 << 30
QUOTED_CHARACTERS = 16_384
SENDING, ASKING = ("post", "put", "patch"), ("get", "delete")
ADVICE = {
    **dict.fromkeys(range(300, 400), "ask for what it points to, if that is in the tenant"),
    **dict.fromkeys(range(400, 500), "see what was sent"),
    401: "the tenant does not take the device's token: is its user disabled?",
    403: "the user of the device is not allowed to: see its permissions in the tenant",
    404: "the tenant has nothing there",
    409: "it is in conflict with what is there",
    429: "the tenant is busy: ask again later",
}


def add_to(parser: Parser) -> None:
    """Add the verbs, and again below ``api``, the name that thin-edge used before."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_verbs(verbs)
    _add_verbs(
        verbs.add_parser("api", help="the same, by its previous name").add_subparsers(
            dest="verb", required=True, metavar="VERB"
        )
    )


def _add_verbs(verbs: "argparse._SubParsersAction[Parser]") -> None:
    for name in (*ASKING, *SENDING):
        verb = verbs.add_parser(name, help=f"{name.upper()} to the tenant")
        verb.add_argument("uri", metavar="URI", help="/c8y/ and the path within the tenant")
        if name in SENDING:
            content = verb.add_mutually_exclusive_group(required=True)
            content.add_argument("content", nargs="?", help="what to send")
            content.add_argument("--data", help="what to send")
            content.add_argument("--file", type=Path, help="the file to send")
            verb.add_argument("--content-type", metavar="TYPE", type=_field, help="media type of what is sent")
        verb.add_argument("--accept-type", metavar="TYPE", type=_field, help="media type of the answer")
        add_profile(verb)


def _field(text: str) -> str:
    """Check that ``text`` can be the value of a header and begins no other header (RFC 9110 §5.5)."""
    if not (text.isascii() and text.isprintable() and text.strip() == text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a media type such as application/json")
    return text


def execute(arguments: argparse.Namespace) -> int:
    """Send what the arguments say and write the body of a success to stdout as it comes; raises TedgeCertError.

    Nothing is written for a refusal. The exit code tells whether a long body is whole.
    """
    path = path_of(arguments.uri)
    # A file that the caller names is read with the caller's rights.
    request = _request_of(arguments, path)
    arguments.cloud = "c8y"
    instance = entry.instance_of(arguments)
    tenant, broker = _tenant_of(instance), connected_broker(instance)
    with ExitStack() as shown:
        shown.enter_context(waiting(f"Asking {tenant.host}"))
        sink = body_sink()

        def write(chunk: bytes) -> None:
            # The spinner would draw over the answer.
            shown.close()
            sink(chunk)

        _send(tenant, broker, request, write)
    return 0


def path_of(uri: str) -> str:
    """Return the path within the tenant; raises TedgeCertError for any other address."""
    if uri == "/c8y" or uri.startswith(("/c8y/", "/c8y?")):
        path = uri.removeprefix("/c8y")
        path = path if path.startswith("/") else f"/{path}"
    else:
        agent = "; there is no file transfer service here" if uri.startswith(("/te/", "/tedge/")) else ""
        raise TedgeCertError(f"not a local HTTP uri: {uri}; expected /c8y/ and the path within the tenant{agent}")
    # The tenant revokes the token of a device that asks for its user interface, in any spelling.
    plain = posixpath.normpath(unquote(path.partition("?")[0])).lstrip("/")
    if plain.startswith("apps/") or plain.endswith(".js"):
        raise TedgeCertError(
            f"{uri} is not asked for: apps/ and *.js are the tenant's user interface, and a device that touches it "
            "loses its token; use a browser"
        )
    return path


def _request_of(arguments: argparse.Namespace, path: str) -> Request:
    method, fields = arguments.verb.upper(), {"Accept": arguments.accept_type or "*/*"}
    if arguments.verb not in SENDING:
        return Request(method, path, fields)
    body: bytes | BinaryIO
    if arguments.file is not None:
        kind = mimetypes.guess_type(arguments.file.name)[0] or "application/octet-stream"
        body = _open(arguments.file)
    else:
        text = arguments.data if arguments.content is None else arguments.content
        kind, body = "application/json", text.encode()
    return Request(method, path, {**fields, "Content-Type": arguments.content_type or kind}, body)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise TedgeCertError(f"cannot read {path}: {error.strerror}; expected a file to send") from error


def _tenant_of(instance: Instance) -> Tenant:
    """Return the tenant, after a check of the certificate or password that the device shows it."""
    instance.config.need("c8y.http")
    if auth_method.is_basic(instance.config):
        credentials.warn_if_exposed(Path(instance.config.need("c8y.credentials_path")))
    else:
        # The tenant gives a token only for a certificate within its validity, over HTTPS and over MQTT.
        clock.check_presentable(certificate.load(instance.certificate), instance.certificate)
    return tenant_of(instance)


def _send(tenant: Tenant, broker: LocalBroker | None, request: Request, sink: Sink) -> None:
    """Send ``request`` and pass the body of a success to ``sink``; raises RequestRefusedError for any other answer."""
    limits = Limits(https.CONNECT_S, READ_S, DEADLINE_S, LIMIT_BYTES)
    answer = rest.as_device(tenant, request, partial(token.get_credential, tenant, broker), limits, sink)
    if not answer.is_success:
        advice = ADVICE
        if tenant.credentials_path is not None:
            advice = {**ADVICE, 401: f"the tenant does not take the user and password in {tenant.credentials_path}"}
        raise https.refusal(answer, advice, QUOTED_CHARACTERS)
