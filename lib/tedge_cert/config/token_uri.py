# SPDX-License-Identifier: Apache-2.0
"""PKCS#11 URIs (RFC 7512), and the PEM file that names a key by one, as OpenSSL's provider reads it."""

import string
from collections.abc import Mapping
from urllib.parse import quote, unquote, unquote_to_bytes

from tedge_cert.hourly.der import element

SCHEME = "pkcs11:"
_LABEL = "PKCS#11 PROVIDER URI"
_VERSION = "PKCS#11 Provider URI v1.0"
_VISIBLE_STRING, _UTF8_STRING = 0x1A, 0x0C
# RFC 7512 §2.3: those that say which token, and those that say which object in it.
OF_TOKEN = ("token", "manufacturer", "serial", "model", "slot-id")
OF_KEY = ("object", "id")
_OTHERS = ("type", "library-manufacturer", "library-version", "library-description", "slot-description",
           "slot-manufacturer")  # fmt: skip
_QUERY = ("pin-value", "pin-source", "module-name", "module-path")
_LONGEST = 2048
_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-._~%:[]@!$'()*+,=&/?|;")


def parse(text: str) -> dict[str, str]:
    """Return the attributes of a URI, those of its query too; ``id`` in hexadecimal. Raises ValueError."""
    if not text.startswith(SCHEME) or set(text) - _CHARACTERS or len(text) > _LONGEST:
        raise ValueError(f"expected a PKCS#11 URI such as pkcs11:token=gateway;object=tedge, got {text[:80]!r}")
    path, _, query = text[len(SCHEME) :].partition("?")
    found: dict[str, str] = {}
    for part, known in ((path.split(";"), (*OF_TOKEN, *OF_KEY, *_OTHERS)), (query.split("&"), _QUERY)):
        for each in filter(None, part):
            name, equals, value = each.partition("=")
            if name not in known or not equals or name in found:
                raise ValueError(f"the PKCS#11 URI has {each!r}; expected each of {', '.join(known)} once at most")
            found[name] = unquote_to_bytes(value).hex() if name == "id" else unquote(value)
    return found


def text_of(attributes: Mapping[str, str]) -> str:
    """Return the URI of these attributes, in the order in which they are given."""
    path = [f"{name}={_quoted(name, attributes[name])}" for name in attributes if name not in _QUERY]
    query = [f"{name}={quote(attributes[name], safe='/:')}" for name in attributes if name in _QUERY]
    return SCHEME + ";".join(path) + ("?" + "&".join(query) if query else "")


def _quoted(name: str, value: str) -> str:
    if name == "id":
        return "".join(f"%{byte:02X}" for byte in bytes.fromhex(value))
    return quote(value, safe="")


def pem_of(uri: str) -> bytes:
    """Return the file that names the key at ``uri``."""
    from asn1crypto import core, pem

    fields = core.VisibleString(_VERSION).dump() + core.UTF8String(uri).dump()
    made: bytes = pem.armor(_LABEL, core.Sequence(contents=fields).dump())
    return made


def in_der(der: bytes) -> str:
    """Return the URI in the block of such a file; raises ValueError."""
    try:
        begin = element(der, 0)[1]
        after = element(der, begin)[2]
        _, value, end = element(der, after)
        if der[begin] != _VISIBLE_STRING or der[after] != _UTF8_STRING:
            raise ValueError("expected its version and a URI")
        return der[value:end].decode()
    except IndexError as error:
        raise ValueError("it is cut off") from error
