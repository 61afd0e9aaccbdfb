# SPDX-License-Identifier: Apache-2.0
"""PKCS#7 "certs-only" as EST servers send it, with definite and with indefinite lengths."""

from base64 import b64encode

from tenant.authority import pem
from tenant.settings import Settings

_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_DATA = bytes.fromhex("06092a864886f70d010701")
_VERSION_1 = bytes.fromhex("020101")
_EMPTY_SET = bytes.fromhex("3100")
_SEQUENCE, _CONTEXT_0 = 0x30, 0xA0


def _definite(tag: int, content: bytes) -> bytes:
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _indefinite(tag: int, content: bytes) -> bytes:
    return bytes([tag, 0x80]) + content + b"\0\0"


def certs_only(certificates: list[bytes], *, indefinite: bool) -> bytes:
    """A SignedData without a signer; the SET is in the given order, as servers do, not sorted."""
    wrap = _indefinite if indefinite else _definite
    signed = _VERSION_1 + _EMPTY_SET + wrap(_SEQUENCE, _DATA)
    signed += wrap(_CONTEXT_0, b"".join(certificates)) + _EMPTY_SET
    return wrap(_SEQUENCE, _SIGNED_DATA + wrap(_CONTEXT_0, wrap(_SEQUENCE, signed)))


def _base64(der: bytes, columns: int, newline: str) -> bytes:
    text = b64encode(der).decode()
    if not columns:
        return text.encode()
    return "".join(text[at : at + columns] + newline for at in range(0, len(text), columns)).encode()


def est_body(settings: Settings, leaf: bytes, chain: list[bytes]) -> bytes:
    """The body of an EST answer as the settings want it."""
    certificates = [leaf, *(chain if settings.est_chain else [])]
    if settings.est_order == "leaf-last":
        certificates.reverse()
    form = settings.est_format
    if form == "pem":
        return "".join(pem(der) for der in certificates).encode()
    der = certs_only(certificates, indefinite=form == "ber")
    if form == "raw-der":
        return der
    if form == "pem-pkcs7":
        return b"-----BEGIN PKCS7-----\n" + _base64(der, 64, "\n") + b"-----END PKCS7-----\n"
    return _base64(der, settings.est_columns, settings.est_newline)
