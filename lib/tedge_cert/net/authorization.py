# SPDX-License-Identifier: Apache-2.0
"""What can be a token, before it becomes the field of a header (RFC 6750 §2.1)."""

import base64

from tedge_cert.config.credentials import Credentials

LIMIT_CHARACTERS = 8192


def is_token(text: str) -> bool:
    """Whether ``text`` can be sent as a token; whatever else it is, it is never printed."""
    return 0 < len(text) <= LIMIT_CHARACTERS and text.isascii() and text.isprintable() and " " not in text


def basic(username: str, password: str) -> dict[str, str]:
    """The header of HTTP Basic, in UTF-8 as servers expect it since RFC 7617 §2.1."""
    return {"Authorization": f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"}


def authorization(who: "str | Credentials") -> dict[str, str]:
    """The header that says who asks: a token, or user and password."""
    return {"Authorization": f"Bearer {who}"} if isinstance(who, str) else basic(who.username, who.password)
