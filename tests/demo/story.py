# SPDX-License-Identifier: Apache-2.0
"""How the demo speaks: a heading, what is typed, and what comes back."""

import os
import sys

SHORT_S, LONG_S = 60 * 86_400, 365 * 86_400
"""How long the first certificate is valid, and the ones after it, in s."""

_COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _marked(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if _COLOUR else text


def heading(text: str) -> None:
    """Begin a chapter."""
    sys.stdout.write(f"\n{_marked(text, '1')}\n")
    sys.stdout.flush()


def typed(prompt: str, command: str, answer: str) -> None:
    """Show a command and what it printed."""
    sys.stdout.write(f"{_marked(prompt + command, '36')}\n")
    for line in answer.rstrip("\n").split("\n") if answer.strip() else ():
        sys.stdout.write(f"  {line}\n")
    sys.stdout.flush()


def told(text: str) -> None:
    """Say something beside the commands."""
    sys.stdout.write(f"  {text}\n")
    sys.stdout.flush()
