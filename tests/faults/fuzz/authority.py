# SPDX-License-Identifier: Apache-2.0
"""What an authority of the operator's own says: refusals, certificates of its issuers; and the request that waits."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tedge_cert.authority import answer_checks, est_server, est_wire, waiting_request
from tedge_cert.device.connections import EstAuthority, EstServer, KeyPair
from tedge_cert.disk import files
from tedge_cert.errors import RequestRefusedError
from tedge_cert.net import https
from tedge_cert.net.anchors import Trust
from tedge_cert.x509.certificate import Certificate
from tenant.pkcs7 import certs_only
from unit.certificates import make, name_of, new_key

_SERVER = EstServer("est.example", Trust(Path("/etc/ssl/certs"), "est.root_cert_path"), "est.url", base="/est")
_AUTHORITY = EstAuthority(_SERVER, _SERVER, "device-1", True, False, None, None)
_SHOWN = KeyPair(Path("/c.pem"), Path("/k.pem"))
_ROOT = make("a root")
_ISSUING, _TWIN = make("an issuing CA", issuer=_ROOT), make("an issuing CA")
_LEAF = Certificate(make(issuer=_ISSUING).certificate)
_REQUEST = (
    x509.CertificateSigningRequestBuilder()
    .subject_name(name_of("device-1"))
    .sign(new_key(), hashes.SHA256())
    .public_bytes(Encoding.DER)
)
REFUSALS = (
    b'Basic realm="est"\n401\n',
    b'Digest qop="auth", realm="estrealm", nonce="x"\n401\nError 401: Unauthorized',
    b"\n401\nProof of Possession Mismatch.",
    b"\n403\n<html><head><title>Forbidden</title></head></html>",
    b'\n400\n{"error": "subject", "message": "CSR Attributes missing in request."}',
    b"\n202\n",
    b"\n404\n404 page not found\n",
    b"\n200\n<!DOCTYPE html>",
)
ISSUERS = tuple(
    certs_only([each.der for each in found], indefinite=is_ber)
    for is_ber in (False, True)
    for found in ([_ISSUING, _ROOT], [_TWIN, _ISSUING], [_ROOT], [])
)
REQUESTS = (_REQUEST, b"")


def read_refusal(content: bytes) -> None:
    """An answer with its challenge, its status and its body in three lines."""
    challenge, status, body = (content.split(b"\n", 2) + [b""] * 3)[:3]
    number = int(status) if status.isdigit() and len(status) < 5 else 500
    answer = _answer(number, body, {"WWW-Authenticate": challenge.decode("latin-1")})
    for shown, user in ((None, ""), (_SHOWN, ""), (_SHOWN, "u")):
        said = _refusal_of(answer, shown, user)
        # One line, which steers no terminal, before it reaches the log.
        assert said.isprintable()
        assert len(said) < 2000


def _refusal_of(answer: https.HttpAnswer, shown: KeyPair | None, user: str) -> str:
    try:
        est_wire.certificates_in(answer, est_server._advice(answer, _SERVER, shown, user, "the file"))
    except RequestRefusedError as error:
        return str(error)
    return ""


def read_issuers(content: bytes) -> None:
    """What the server gives as its certificates: the chain is signed link by link, or there is none."""
    with mock.patch.object(https, "ask", return_value=_answer(200, content, {})):
        found = est_server.with_chain(_AUTHORITY, _LEAF, None)
    assert found.leaf == _LEAF.leaf
    chain = [_LEAF, *map(Certificate, found.chain)]
    assert len(chain) <= answer_checks.LONGEST_CHAIN + 1
    for issued, issuer in pairwise(chain):
        assert answer_checks._has_signed(issuer, issued) is not False


def read_waiting(content: bytes) -> None:
    """A request on the disk: it is sent again only if it asks for the same and its signature is good."""
    with mock.patch.object(files, "read_regular", return_value=content):
        sent = waiting_request.same(Path("/waiting"), _REQUEST)
    if sent != _REQUEST:
        read = x509.load_der_x509_csr(sent)
        assert read.is_signature_valid
        assert read.subject == x509.load_der_x509_csr(_REQUEST).subject


def _answer(status: int, body: bytes, fields: Mapping[str, str]) -> https.HttpAnswer:
    return https.HttpAnswer(_SERVER, _SERVER.url_of("/est/simplereenroll"), status, "", fields, body)
