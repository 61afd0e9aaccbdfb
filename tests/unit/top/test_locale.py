# SPDX-License-Identifier: Apache-2.0
"""Every locale and every name: no command ends with an error of encoding, and a mark becomes letters."""

import io
from pathlib import Path

import pytest

from tedge_cert import terminal
from unit.certificates import make_for, with_bytes
from unit.children import run

LOCALES = {
    "C": {"LC_ALL": "C"},
    "strict ASCII": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii:strict"},
}
COMMANDS = (
    ["tedge-cert-show"],
    ["tedge-cert-status"],
    ["tedge-cert-status", "--json"],
    ["tedge-cert-needs-renewal", "--systemd", "c8y"],
    ["tedge-config", "list"],
    ["tedge-cert-show", "--cert-path", "/no/Größe-\u4e2d"],
    ["tedge-config", "get", "Größe-\u4e2d"],
    ["tedge", "Größe-\u4e2d"],
    ["tedge-cert-renew", "--help"],
)


@pytest.mark.parametrize("locale", LOCALES)
def test_no_locale_and_no_name_end_a_command(tmp_path: Path, locale: str) -> None:
    made = with_bytes(make_for(100, name="Gr\u00f6\u00dfe-\u4e2d"), b"Thin Edge", b"Thin \xfcdge")
    path = tmp_path / "cert.pem"
    path.write_bytes(made.pem)
    (tmp_path / "tedge.toml").write_text(f'[device]\ncert_path = "{path}"\ntype = "\u4e2d"\n', encoding="utf-8")
    for words in COMMANDS:
        done = run(words, tmp_path, variables=LOCALES[locale])
        assert "UnicodeEncodeError" not in done.stderr, (words, done)
        assert "Traceback" not in done.stderr, (words, done)
        assert done.stdout + done.stderr, words
    assert "Thin \\xFCdge" in run(COMMANDS[0], tmp_path, variables=LOCALES[locale]).stdout


@pytest.mark.parametrize(("encoding", "marks"), [("utf-8", ("✓", "✗")), ("ascii", ("ok", "no"))])
def test_a_mark_that_cannot_be_printed_is_letters(encoding: str, marks: tuple[str, str]) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    assert (terminal.mark(True, stream), terminal.mark(False, stream)) == marks
