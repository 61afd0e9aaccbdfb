# SPDX-License-Identifier: Apache-2.0
"""The registration address as a QR code, where terminal and library allow it."""

import io
import os
import sys

import pytest
from qrcode import QRCode

from tedge_cert import journal, terminal
from tedge_cert.commands import download
from tedge_cert.commands.download import Registration

ADDRESS = "https://tenant.example/apps/devicemanagement/index.html#/deviceregistration?externalId=d&one-time-password=x"
# A character is two rows: whether the upper one is drawn, and the lower one.
GLYPHS = {" ": (False, False), "▀": (True, False), "▄": (False, True), "█": (True, True)}


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """Whose size is asked for."""
        return 2


def look(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of eighty columns; no fixture, as pytest sets a stderr of its own after those."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((80, 24)))
    monkeypatch.delenv("NO_COLOR", raising=False)
    return made


def dark_modules_of(text: str, coloured: bool) -> list[list[bool]]:
    """What a camera sees: dark characters on white, or, without colours, the light ones of a dark terminal."""
    rows: list[list[bool]] = []
    for line in text.splitlines():
        plain = line.removeprefix(terminal.BLACK_ON_WHITE).removesuffix(terminal.NORMAL)
        assert (plain != line) == coloured
        rows += ([GLYPHS[glyph][half] == coloured for glyph in plain] for half in (0, 1))
    return rows


@pytest.mark.parametrize("coloured", [True, False])
def test_shows_every_module(monkeypatch: pytest.MonkeyPatch, coloured: bool) -> None:
    look(monkeypatch)
    if not coloured:
        monkeypatch.setenv("NO_COLOR", "1")
    code = QRCode(border=terminal.BORDER)
    code.add_data(ADDRESS)
    rows = code.get_matrix()
    text = terminal.qr_code(ADDRESS)
    assert dark_modules_of(text, coloured)[: len(rows)] == rows
    assert journal.plain(text) == text
    assert len(rows) <= 80


def test_is_left_out_where_it_cannot_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = look(monkeypatch)
    screen.encoding = "ascii"
    assert terminal.qr_code(ADDRESS) == ""
    screen.encoding = "utf-8"
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((40, 24)))
    assert terminal.qr_code(ADDRESS) == ""


def test_is_left_out_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    look(monkeypatch)
    monkeypatch.setitem(sys.modules, "qrcode", None)
    assert terminal.qr_code(ADDRESS) == ""


def test_is_left_out_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    look(monkeypatch)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert terminal.qr_code(ADDRESS) == ""


@pytest.mark.parametrize("without_address", [False, True])
def test_comes_with_the_address(monkeypatch: pytest.MonkeyPatch, without_address: bool) -> None:
    screen = look(monkeypatch)
    registration = Registration("d", "secret", generated=True, host="h.example")
    download.announce(registration, without_address)
    assert (terminal.qr_code(registration.address()) in screen.getvalue()) is not without_address
