# SPDX-License-Identifier: Apache-2.0
"""Colour for a terminal, and for nothing else: scripts and files get the bare text."""

import os
import sys

from tedge_cert.hourly.validity import EXPIRES_SOON, VALID

_GREEN, _YELLOW, _RED = 32, 33, 31


def of_status(text: str) -> str:
    """A certificate's status as it is to be printed: green, yellow or red where colours are seen."""
    if not _is_wanted():
        return text
    word = text.partition(" (")[0]
    return f"\x1b[{ {VALID: _GREEN, EXPIRES_SOON: _YELLOW}.get(word, _RED) }m{text}\x1b[0m"


def of_health(word: str) -> str:
    """Likewise for how an instance is."""
    if not _is_wanted():
        return word
    return f"\x1b[{ {'healthy': _GREEN, 'attention': _YELLOW}.get(word, _RED) }m{word}\x1b[0m"


def _is_wanted() -> bool:
    """Both streams are a terminal, as thin-edge asks, and nobody objects (https://no-color.org)."""
    objections = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not objections and sys.stdout.isatty() and sys.stderr.isatty()
