# SPDX-License-Identifier: Apache-2.0
"""An address as a QR code on a terminal, for a telephone to read; made by Debian's python3-qrcode where installed."""

import os
import sys

# The quiet zone around the code (ISO/IEC 18004 §5.3.8), half of what the standard asks for: enough for telephones.
BORDER = 2
# Two rows of modules a line: what is dark in the upper and in the lower one.
GLYPHS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
BLACK_ON_WHITE, NORMAL = "\033[30;107m", "\033[0m"


def terminal_text(address: str) -> str:
    """The lines that show ``address`` on this terminal; empty where that cannot be, or the library is not there."""
    if not (sys.stderr.isatty() and _has_blocks()):
        return ""
    try:
        from qrcode import QRCode
    except ImportError:
        return ""
    code = QRCode(border=BORDER)
    code.add_data(address)
    rows: list[list[bool]] = code.get_matrix()
    if len(rows[0]) > os.get_terminal_size(sys.stderr.fileno()).columns:
        return ""
    return drawn(rows, coloured="NO_COLOR" not in os.environ)


def drawn(rows: list[list[bool]], coloured: bool) -> str:
    """Dark and light modules as text, black on white.

    Without colours the light ones are drawn, as terminals are dark: few readers take an inverted code.
    """
    if len(rows) % 2:
        rows = [*rows, [False] * len(rows[0])]
    lines = []
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        text = "".join(GLYPHS[(a == coloured, b == coloured)] for a, b in zip(upper, lower, strict=True))
        lines.append(f"{BLACK_ON_WHITE}{text}{NORMAL}" if coloured else text)
    return "\n".join(lines) + "\n"


def _has_blocks() -> bool:
    try:
        "".join(GLYPHS.values()).encode(sys.stderr.encoding)
    except (LookupError, TypeError, UnicodeEncodeError):
        return False
    return True
