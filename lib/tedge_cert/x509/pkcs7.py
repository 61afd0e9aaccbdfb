# SPDX-License-Identifier: Apache-2.0
"""Read certificates from the body of an EST answer, in every form that servers send (RFC 2315, RFC 5652, RFC 8951)."""

import base64
import binascii

from asn1crypto import cms
from cryptography import x509

from tedge_cert.x509.certificate import from_der


def certificates_of(content: bytes) -> list[x509.Certificate]:
    """Read the certificates in the body of an answer; the bytes decide, not the Content-Type.

    PEM under any label, DER, or base64 of DER in any shape; each a certificate or a PKCS#7 "certs-only" message
    in DER or BER. Raises ValueError; the list is empty for a message without certificates.
    """
    try:
        return [each for block in _der_blocks(content) for each in _certificates_of_der(block)]
    except TypeError as error:
        raise ValueError(f"malformed ({error})") from error


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
    """Tell whether the outer SEQUENCE begins with an object identifier (RFC 5652 §3); a certificate's does not."""
    if len(der) < 3 or der[0] != 0x30:
        raise ValueError("not ASN.1")
    header = 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)
    return der[header : header + 1] == b"\x06"
