# SPDX-License-Identifier: Apache-2.0
"""``tedge http``: a request to the tenant with the device's own token; its arguments, and what it prints."""

import argparse
import mimetypes
import posixpath
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote

from tedge_cert import journal
from tedge_cert.cli.arguments import Parser
from tedge_cert.cli.entry import add_profile
from tedge_cert.config import auth_method, credentials
from tedge_cert.deadline import Deadline
from tedge_cert.device.connection_settings import connected_broker, tenant_of
from tedge_cert.device.connections import LocalBroker, Tenant
from tedge_cert.device.instance import Instance, load_instance
from tedge_cert.errors import RequestRefusedError, TedgeCertError
from tedge_cert.tenant import rest, token
from tedge_cert.tenant.rest import Answer, Request
from tedge_cert.terminal import waiting
from tedge_cert.x509 import certificate, clock

# Files pass here too, over whatever link the device has.
DEADLINE_S = 300.0
QUOTED_BYTES = 16_384
SENDING, ASKING = ("post", "put", "patch"), ("get", "delete")
ADVICE = {
    401: "the tenant does not take the device's token: is its user disabled?",
    403: "the user of the device is not allowed to: see its permissions in the tenant",
    404: "the tenant has nothing there",
    409: "it is in conflict with what is there",
    429: "the tenant is busy: ask again later",
}


def add_to(parser: Parser) -> None:
    """Add the verbs, and once more behind ``api``, as they were called before."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_verbs(verbs)
    _add_verbs(
        verbs.add_parser("api", help="the same, as it was called before").add_subparsers(
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
    """What can be the value of a header's field, and is not the begin of another one (RFC 9110 §5.5)."""
    if not (text.isascii() and text.isprintable() and text.strip() == text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a media type such as application/json")
    return text


def execute(arguments: argparse.Namespace) -> int:
    """Send what the arguments say; the body of a success goes to stdout, byte by byte. Raises TedgeCertError."""
    path = path_of(arguments.uri)
    instance = load_instance("c8y", arguments.profile, arguments.config_dir)
    request = _request_of(arguments, path)
    tenant, broker = _tenant_of(instance), connected_broker(instance)
    with waiting(f"Asking {tenant.http}"):
        answer = _send(tenant, broker, request)
    with answer.body as body:
        shutil.copyfileobj(body, sys.stdout.buffer)
    sys.stdout.buffer.flush()
    return 0


def path_of(uri: str) -> str:
    """The path within the tenant; raises TedgeCertError for any other address."""
    if uri == "/c8y" or uri.startswith(("/c8y/", "/c8y?")):
        path = uri.removeprefix("/c8y")
        path = path if path.startswith("/") else f"/{path}"
    else:
        agent = "; there is no file transfer service here" if uri.startswith(("/te/", "/tedge/")) else ""
        raise TedgeCertError(f"not a local HTTP uri: {uri}; expected /c8y/ and the path within the tenant{agent}")
    # However it is spelt: the tenant revokes the token of a device that asks for its user interface.
    plain = posixpath.normpath(unquote(path.partition("?")[0])).lstrip("/")
    if plain.startswith("apps/") or plain.endswith(".js"):
        raise TedgeCertError(
            f"{uri} is not asked for: apps/ and *.js are the tenant's user interface, and a device that touches it "
            "loses its token; use a browser"
        )
    return path


def _request_of(arguments: argparse.Namespace, path: str) -> Request:
    method, accept = arguments.verb.upper(), arguments.accept_type
    if arguments.verb not in SENDING:
        return Request(method, path, accept=accept)
    if arguments.file is not None:
        guessed = mimetypes.guess_type(arguments.file.name)[0] or "application/octet-stream"
        return Request(method, path, arguments.file, arguments.content_type or guessed, accept)
    text = arguments.data if arguments.content is None else arguments.content
    return Request(method, path, text.encode(), arguments.content_type or "application/json", accept)


def _tenant_of(instance: Instance) -> Tenant:
    """Return the tenant, and what the device shows it, after a look at that."""
    if auth_method.is_basic(instance.config):
        tenant = tenant_of(instance)
        credentials.warn_if_exposed(Path(instance.config.need("c8y.credentials_path")))
        return tenant
    # A token can only be had for a certificate that is in its validity, whichever way it comes.
    instance.config.need("c8y.http")
    clock.check_presentable(certificate.load(instance.certificate), instance.certificate)
    return tenant_of(instance)


def _send(tenant: Tenant, broker: LocalBroker | None, request: Request) -> Answer:
    """The answer of a success; a token that is refused is replaced once (it may have been revoked meanwhile)."""
    deadline = Deadline(DEADLINE_S)
    for last in (False, True):
        who = token.who_asks(tenant, broker, again=last)
        answer = rest.send(tenant.http, request, who, tenant.trust, deadline.left_s(), tenant.proxy)
        if 200 <= answer.status < 300:
            return answer
        if answer.status != 401 or last or tenant.credentials_path is not None:
            raise _refused(tenant, request, answer)
        journal.info(f"{tenant.http} refused the token (401): asking again with a new one")
    raise AssertionError


def _refused(tenant: Tenant, request: Request, answer: Answer) -> RequestRefusedError:
    with answer.body as body:
        text = body.read(QUOTED_BYTES).decode("utf-8", "replace")
    # Nothing that would steer the terminal of whoever reads it.
    text = "".join(each if each.isprintable() else " " for each in text).strip()
    url = rest.url_of(tenant.http, request.path)
    parts = [f"{request.method} {url} was answered {answer.status} {answer.reason}".rstrip(), text]
    if answer.status < 400:
        parts.insert(1, f"to go to {answer.location or 'nowhere'}, which is not followed")
        advice = "ask for what it points to, if that is in the tenant"
    else:
        otherwise = "the tenant is out of order: ask again later" if answer.status >= 500 else "see what was sent"
        advice = ADVICE.get(answer.status, otherwise)
        if answer.status == 401 and tenant.credentials_path is not None:
            advice = f"the tenant does not take the user and password in {tenant.credentials_path}"
    return RequestRefusedError(f"{': '.join(each for each in parts if each)}; {advice}", answer.status)
