# SPDX-License-Identifier: Apache-2.0
"""The parsers of the executables, read from the scripts without running them."""

import runpy
from pathlib import Path

from tedge_cert.parsers import Parser
from unit.commands import BIN


def parser_of(script: Path) -> Parser:
    """The parser that an executable reads its command line with."""
    made = runpy.run_path(str(script), run_name="parser")["parser"]()
    assert isinstance(made, Parser)
    return made


def parsers() -> dict[str, Parser]:
    """Each executable's parser by its name."""
    return {each.name: parser_of(each) for each in sorted(BIN.glob("tedge*"))}
