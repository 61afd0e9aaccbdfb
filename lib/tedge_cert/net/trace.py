# SPDX-License-Identifier: Apache-2.0
"""Show every request and every answer in the lines of ``--debug``, without what is secret in them."""

import base64
import binascii
from collections.abc import Mapping
from contextlib import suppress
from typing import BinaryIO

from tedge_cert import journal

# Headers whose values prove who somebody is.
_SECRET = ("authorization", "proxy-authorization", "cookie", "set-cookie")
_CHARACTERS = 200
_BODY_CHARACTERS = 2000


def sent(method: str, url: str, headers: Mapping[str, str], body: bytes | BinaryIO | None) -> None:
    """Show a request; of the body only its size, because some bodies hold credentials."""
    size = f"{len(body)} bytes" if isinstance(body, bytes) else "no body" if body is None else "a file"
    journal.debug(f"> {method} {url} ({size}){_shown(headers)}")


def received(
    status: int, reason: str, headers: Mapping[str, str], content: bytes, sent_headers: Mapping[str, str]
) -> None:
    """Show an answer, and the body of a refusal: that of a success may be a token."""
    journal.debug(f"< {status} {reason} ({len(content)} bytes){_shown(headers)}")
    if content and not 200 <= status < 300:
        text = content[: 4 * _BODY_CHARACTERS].decode("utf-8", "replace")
        for secret in _secrets_in(sent_headers):
            text = text.replace(secret, "[hidden]")
        journal.debug(f"< {text[:_BODY_CHARACTERS]}")


def mqtt(text: str) -> None:
    """Show a step of an MQTT connection; a payload may be a token, so none is shown."""
    journal.debug(f"mqtt: {text}")


def _shown(headers: Mapping[str, str]) -> str:
    return "".join(
        f"; {name}: {'[hidden]' if name.lower() in _SECRET else value[:_CHARACTERS]}" for name, value in headers.items()
    )


def _secrets_in(headers: Mapping[str, str]) -> list[str]:
    """Return what a server might repeat: the token, or the password and its encoded form."""
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    found = [value]
    if scheme == "Basic":
        with suppress(binascii.Error, UnicodeDecodeError):
            found.append(base64.b64decode(value).decode().partition(":")[2])
    return [each for each in found if each]
