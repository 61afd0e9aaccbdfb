# SPDX-License-Identifier: Apache-2.0
"""The manual pages and README's table, made from the parsers and from the table of keys."""

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tedge_cert.cli.executables import below, parser_of
from tedge_cert.config.keys.table import KEYS, is_kept
from unit.children import BIN, environment_for
from unit.local_device import ROOT

LAST = ("tedge-cert-renewer-beside.7", "tedge-cert-renewer.7", "tedge-first-boot.7", "tedge-own-authority.7")
# What only units call.
UNITS_OWN = tuple(f"tedge-cert-{each}" for each in ("cleanup", "download-once", "finish-download", "needs-download"))
NAMES = sorted(each.name for each in BIN.glob("tedge*"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages that the package is built with."""
    directory = tmp_path_factory.mktemp("man")
    environment = environment_for(None, SOURCE_DATE_EPOCH="1700000000", TEDGE_CLOUD_PROFILE="here")
    subprocess.run([sys.executable, str(ROOT / "debian/manual.py"), str(directory)], env=environment, check=True)
    return directory


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
def test_all_pages_render_without_a_warning(pages: Path) -> None:
    written = [*sorted(pages.iterdir()), *sorted((ROOT / "debian/man").iterdir())]
    assert [each.name for each in written] == [*sorted([*(f"{name}.1" for name in NAMES), "tedge.toml.5"]), *LAST]
    done = subprocess.run(
        ["mandoc", "-Tlint", "-Wwarning", *map(str, written)], capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_what_help_has(pages: Path, name: str) -> None:
    text = (pages / f"{name}.1").read_text()
    assert text.startswith(f".Dd November 14, 2023\n.Dt {name.upper()} 1\n")
    assert [line[4:] for line in text.splitlines() if line.startswith(".Sh")] == [
        *("NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "FILES", "EXIT STATUS"),
        *(["EXAMPLES"] if name not in UNITS_OWN else []),
        "SEE ALSO",
    ]
    assert "Fl -config-dir Ar" in text
    assert "here" not in text.split(), "the builder's environment is no part of the page"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_every_option_of_its_command(pages: Path, name: str) -> None:
    text = (pages / f"{name}.1").read_text()
    entries = {each for line in text.splitlines() if line.startswith(".It ") for each in line.split()}
    for words, parser in below(name.replace("-", " "), parser_of(BIN / name)):
        options = [option for action in parser.arguments() for option in action.option_strings]
        assert not [each for each in options if each[1:] not in entries], words


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("tedge-cert-needs-renewal", ["0", "1", "2", "255"]),
        ("tedge-cert-verify", ["0", "1", "2", "3"]),
        ("tedge-connect", ["0", "1", "2", "3"]),
        ("tedge-reconnect", ["0", "1", "2", "3"]),
        ("tedge-cert-show", ["0", "1", "2"]),
    ],
)
def test_a_page_tells_the_exit_codes(pages: Path, name: str, codes: list[str]) -> None:
    section = (pages / f"{name}.1").read_text().partition(".Sh EXIT STATUS\n")[2].partition(".Sh ")[0]
    assert [line[4:] for line in section.splitlines() if line.startswith(".It ")] == codes


def test_sub_commands_have_their_synopsis_and_options(pages: Path) -> None:
    text = (pages / "tedge-config.1").read_text()
    assert ".Nm tedge config set\n" in text
    assert ".Ss tedge config list\n" in text
    assert ".Op Fl -doc\n" in text


def test_each_page_lists_its_environment(pages: Path) -> None:
    assert "DEVICE_ONE_TIME_PASSWORD" in (pages / "tedge-cert-download.1").read_text()
    assert "C8Y_USER" in (pages / "tedge-cert-upload.1").read_text()
    assert "C8Y_USER" not in (pages / "tedge-cert-show.1").read_text()


def test_every_configuration_key_is_in_the_manual(pages: Path) -> None:
    text = (pages / "tedge.toml.5").read_text()
    assert sorted(line[7:] for line in text.splitlines() if line.startswith(".It Ic ")) == sorted(KEYS)
    for entry in KEYS.values():
        assert entry.doc.split("\n")[0].split(". ")[0].split("\\")[0] in text


def test_readme_has_the_table_of_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    renewed = runpy.run_path(str(ROOT / "debian/table.py"))["renewed"](readme)
    assert renewed == readme, "`PYTHONPATH=lib python3 debian/table.py README.md` writes the table again"
    assert all(f"`{name.replace('tedge-cert-', 'tedge cert ').replace('tedge-', 'tedge ')}" in readme for name in NAMES)


def test_the_page_of_keys_says_which_act_here(pages: Path) -> None:
    entries = (pages / "tedge.toml.5").read_text().split(".It Ic ")[1:]
    kept = {each.split()[0] for each in entries if "\n\\&Kept for thin-edge.\n" in each}
    assert kept == {name for name in KEYS if is_kept(name)}
    threshold = next(each for each in entries if each.startswith("certificate.validity.minimum_duration"))
    assert "percentage of the lifetime" in threshold
