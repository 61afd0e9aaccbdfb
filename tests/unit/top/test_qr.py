# SPDX-License-Identifier: Apache-2.0
"""The registration address as a QR code, where terminal and library allow it."""

import io
import os
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from tedge_cert import terminal
from tedge_cert.commands import download
from tedge_cert.commands.download import Registration

ADDRESS = "https://tenant.example/apps/devicemanagement/index.html#/deviceregistration?externalId=d&one-time-password=x"
ROWS = [[True, False, True], [False, False, True], [True, True, False]]


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """Whose size is asked for."""
        return 2


class Code:
    """What the library offers, with a code of three modules."""

    def __init__(self, border: int) -> None:
        assert border == terminal.BORDER

    def add_data(self, address: str) -> None:
        """Any."""

    def get_matrix(self) -> list[list[bool]]:
        """Always the same."""
        return ROWS


def look(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of eighty columns, and the library; no fixture, as pytest sets a stderr of its own after those."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((80, 24)))
    monkeypatch.setitem(sys.modules, "qrcode", SimpleNamespace(QRCode=Code))
    monkeypatch.delenv("NO_COLOR", raising=False)
    return made


def modules_of(text: str, coloured: bool) -> list[list[bool]]:
    """The dark modules of what was drawn."""
    parts = {glyph: both for both, glyph in terminal.GLYPHS.items()}
    rows: list[list[bool]] = []
    for line in text.splitlines():
        plain = line.removeprefix(terminal.BLACK_ON_WHITE).removesuffix(terminal.NORMAL)
        assert (plain != line) == coloured
        rows += ([parts[glyph][half] == coloured for glyph in plain] for half in (0, 1))
    return rows


@pytest.mark.parametrize("coloured", [True, False])
def test_draws_every_module(coloured: bool) -> None:
    drawn = modules_of(terminal.qr_text(ROWS, coloured), coloured)
    assert drawn == [*ROWS, [False, False, False]]


def test_is_black_on_white_unless_colours_are_unwanted(monkeypatch: pytest.MonkeyPatch) -> None:
    look(monkeypatch)
    assert terminal.qr_code(ADDRESS) == terminal.qr_text(ROWS, coloured=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.qr_code(ADDRESS) == terminal.qr_text(ROWS, coloured=False)


def test_is_left_out_where_it_cannot_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = look(monkeypatch)
    screen.encoding = "ascii"
    assert terminal.qr_code(ADDRESS) == ""
    screen.encoding = "utf-8"
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((2, 24)))
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
    download.announce(Registration("d", "secret", generated=True, host="h.example"), without_address)
    assert (terminal.qr_text(ROWS, coloured=True) in screen.getvalue()) is not without_address


@pytest.mark.skipif(find_spec("qrcode") is None, reason="the QR library is not among these libraries")
def test_the_library_makes_a_code_that_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    look(monkeypatch)
    monkeypatch.delitem(sys.modules, "qrcode")
    from qrcode import QRCode

    code = QRCode(border=terminal.BORDER)
    code.add_data(ADDRESS)
    rows = code.get_matrix()
    text = terminal.qr_code(ADDRESS)
    assert modules_of(text, coloured=True)[: len(rows)] == rows
    assert len(rows) <= 80
