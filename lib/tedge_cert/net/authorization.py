# SPDX-License-Identifier: Apache-2.0
"""Make the Authorization header, and check which text can be a token in it (RFC 6750 §2.1)."""

import base64

from tedge_cert.config.credentials import Credentials

LIMIT_CHARACTERS = 8192


def is_token(text: str) -> bool:
    """Return whether ``text`` can be sent as a token; a text that cannot is not printed either."""
    return 0 < len(text) <= LIMIT_CHARACTERS and text.isascii() and text.isprintable() and " " not in text


def basic(username: str, password: str, name: str = "Authorization") -> dict[str, str]:
    """Make the header of HTTP Basic, in UTF-8 as servers expect it since RFC 7617 §2.1."""
    return {name: f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"}


def authorization(who: "str | Credentials") -> dict[str, str]:
    """Make the header for a token, or for user and password."""
    return {"Authorization": f"Bearer {who}"} if isinstance(who, str) else basic(who.username, who.password)
