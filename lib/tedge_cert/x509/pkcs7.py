# SPDX-License-Identifier: Apache-2.0
"""Read the certificates in the body of an EST answer, in any form that servers use (RFC 2315, 5652, 8951)."""

import base64
import binascii

from asn1crypto import cms
from cryptography import x509

from tedge_cert.errors import RequestRefusedError
from tedge_cert.net.https import ELSEWHERE, LIMIT_BYTES
from tedge_cert.x509.certificate import from_der


def certificates_of(content: bytes, source: str) -> list[x509.Certificate]:
    """Return the certificates in the body of an answer, by its bytes; the Content-Type is not trusted.

    PEM under any label, DER, or base64 of DER with any line breaks; each a certificate or a PKCS#7 "certs-only"
    message in DER or BER. Raises RequestRefusedError that says what came instead.
    """
    if len(content) > LIMIT_BYTES:
        raise RequestRefusedError(
            f"{source} answered more than {LIMIT_BYTES} bytes, expected a certificate; {ELSEWHERE}"
        )
    if not content.strip():
        raise RequestRefusedError(f"{source} answered with an empty body, expected a certificate; {ELSEWHERE}")
    try:
        found = [each for block in _der_blocks(content) for each in _certificates_of_der(block)]
    except (ValueError, TypeError) as error:
        start = " ".join(content[:60].decode("latin-1").split())
        raise RequestRefusedError(
            f"{source} answered with something that is no certificate ({error}); it begins {start!r}; {ELSEWHERE}"
        ) from error
    if not found:
        raise RequestRefusedError(f"{source} answered with a PKCS#7 message that holds no certificate")
    return found


def _der_blocks(content: bytes) -> list[bytes]:
    if b"-----BEGIN " in content:
        parts = content.split(b"-----BEGIN ")[1:]
        return [binascii.a2b_base64(part.partition(b"-----")[2].partition(b"-----END")[0]) for part in parts]
    if content[:1] == b"\x30":
        return [content]
    # Servers end the text with a line break, with CR LF, with a NUL byte, or with nothing.
    text = bytes(each for each in content if each not in b" \t\r\n\0")
    return [base64.b64decode(text, validate=True)]


def _certificates_of_der(der: bytes) -> list[x509.Certificate]:
    message = cms.ContentInfo.load(der) if _is_content_info(der) else None
    if message is None:
        return [from_der(der)]
    if message["content_type"].native != "signed_data":
        raise ValueError("PKCS#7, but not of certificates")
    return [from_der(each.chosen.dump()) for each in message["content"]["certificates"] or []]


def _is_content_info(der: bytes) -> bool:
    """Return whether the outer SEQUENCE begins with an object identifier (RFC 5652 §3), unlike a certificate."""
    if len(der) < 3 or der[0] != 0x30:
        raise ValueError("not ASN.1")
    header = 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)
    return der[header : header + 1] == b"\x06"
