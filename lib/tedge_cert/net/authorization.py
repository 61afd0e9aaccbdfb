# SPDX-License-Identifier: Apache-2.0
"""What can be a token, before it becomes the field of a header (RFC 6750 §2.1)."""

LIMIT_CHARACTERS = 8192


def is_token(text: str) -> bool:
    """Whether ``text`` can be sent as a token; whatever else it is, it is never printed."""
    return 0 < len(text) <= LIMIT_CHARACTERS and text.isascii() and text.isprintable() and " " not in text
