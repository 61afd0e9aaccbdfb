# SPDX-License-Identifier: Apache-2.0
"""A certificate authority that speaks EST, with an issuing CA below its root; each fault of it can be chosen."""

import base64
import select
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from unit.certificates import Made, make, new_key

BASE = "/.well-known/est/devices"


@dataclass(frozen=True)
class Answer:
    """What is answered in place of a certificate."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A request: its path, its headers, the signing request, and the certificate that the device showed in TLS."""

    path: str
    headers: dict[str, str]
    csr: bytes
    shown: bytes | None


def _of_ca(name: str, issuer: Made | None = None) -> Made:
    key = new_key()
    extensions: list[x509.ExtensionType] = [
        x509.BasicConstraints(ca=True, path_length=None),
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        *([_authority_key(issuer)] if issuer else []),
    ]
    return make(name, end=datetime.now(UTC) + timedelta(days=3650), key=key, issuer=issuer, extensions=extensions)


def _authority_key(issuer: Made) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.certificate.public_key())  # type: ignore[arg-type]


class EstAuthority:
    """The server; `answers` are given in turn before certificates are issued."""

    def __init__(self, directory: Path) -> None:
        self._become("ACME root", "ACME devices")
        self.behave()
        self.asked: list[Asked] = []
        self.trust = directory / "est-root.pem"
        web = trustme.CA()
        web.cert_pem.write_to_path(str(self.trust))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        web.issue_cert("localhost").configure_cert(context)
        roots = directory / "est-clients.pem"
        roots.write_bytes(self.root.pem)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(roots)
        self._context = context
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The address up to the operation."""
        return f"https://localhost:{self.port}{BASE}"

    @property
    def settings(self) -> str:
        """The table of `tedge.toml` that names this authority."""
        return f'[est]\nurl = "{self.url}"\nroot_cert_path = "{self.trust}"\n'

    def behave(self) -> None:
        """End all faults."""
        self.cacerts: Answer | list[Made] = [self.issuing, self.root]
        self.answers: list[Answer] = []
        self.extensions: list[x509.ExtensionType] = [
            x509.BasicConstraints(ca=False, path_length=None),
            # By the key of their issuer, certificates of two authorities of one name differ.
            _authority_key(self.issuing),
        ]
        self.subject: x509.Name | None = None

    def takes(self, authority: Path) -> None:
        """Take certificates of another authority too."""
        self._context.load_verify_locations(authority)

    def takes_leaf_alone(self) -> None:
        """Know the issuing CA from now on, so that a device need not show it."""
        self._context.load_verify_locations(cadata=self.issuing.pem.decode())

    def renew_itself(self, root: str, issuing: str) -> None:
        """Issue by a new issuing CA below a new root from now on; certificates of the former ones are still taken."""
        self._become(root, issuing)
        self.behave()

    def _become(self, root: str, issuing: str) -> None:
        self.root = _of_ca(root)
        self.issuing = _of_ca(issuing, self.root)

    def asks_late(self) -> None:
        """Ask for a certificate only when the request is there, as a web server does that wants one for one address."""
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.post_handshake_auth = True

    def enrolments(self) -> list[Asked]:
        """The requests for certificates."""
        return [each for each in self.asked if not each.path.endswith("/cacerts")]

    def issue(self, csr: bytes, days: float = 90) -> x509.Certificate:
        """Sign what is asked for."""
        request = x509.load_der_x509_csr(csr)
        now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject or request.subject)
            .issuer_name(self.issuing.certificate.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + timedelta(days=days))
        )
        for each in self.extensions:
            builder = builder.add_extension(each, critical=False)
        return builder.sign(self.issuing.key, hashes.SHA256())

    def _answer_to(self, asked: Asked) -> Answer:
        if asked.path == f"{BASE}/cacerts":
            found = self.cacerts
            return found if isinstance(found, Answer) else _certificates([each.certificate for each in found])
        if self.answers:
            return self.answers.pop(0)
        return _certificates([self.issue(asked.csr)])

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._serve(b"")

            def do_POST(self) -> None:
                self._serve(base64.b64decode(self.rfile.read(int(self.headers["Content-Length"]))))

            def _serve(self, csr: bytes) -> None:
                assert isinstance(self.connection, ssl.SSLSocket)
                if self.connection.context.post_handshake_auth:
                    _ask_for_certificate(self.connection)
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.path, headers, csr, self.connection.getpeercert(binary_form=True))
                authority.asked.append(asked)
                answer = authority._answer_to(asked)
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *words: object) -> None:
                del words

        return Handler


def _ask_for_certificate(connection: ssl.SSLSocket) -> None:
    """Ask for a certificate within the connection (RFC 8446 §4.6.2); raises ssl.SSLError without one."""
    connection.verify_client_post_handshake()
    connection.do_handshake()
    connection.setblocking(False)
    while connection.getpeercert(binary_form=True) is None:
        select.select([connection], [], [])
        with suppress(ssl.SSLWantReadError):
            connection.recv(1)
    connection.setblocking(True)


def _certificates(found: list[x509.Certificate]) -> Answer:
    der = pkcs7.serialize_certificates(found, Encoding.DER)
    return Answer(200, base64.encodebytes(der), {"Content-Type": "application/pkcs7-mime"})


def first_certificate(authority: EstAuthority, name: str, days: float = 10) -> tuple[bytes, bytes]:
    """Return a certificate of the authority with its chain, and its key, both in PEM."""
    key = new_key()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    leaf = authority.issue(request.public_bytes(Encoding.DER), days)
    return leaf.public_bytes(Encoding.PEM) + authority.issuing.pem, Made(leaf, key).key_pem
