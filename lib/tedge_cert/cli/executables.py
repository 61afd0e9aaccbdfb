# SPDX-License-Identifier: Apache-2.0
"""Read the parsers of all executables from the scripts, without running them."""

import runpy
from collections.abc import Iterator
from pathlib import Path

from tedge_cert.cli.arguments import Parser


def parser_of(script: Path) -> Parser:
    """Return the parser of an executable; raises KeyError if there is none."""
    made: Parser = runpy.run_path(str(script), run_name="parser")["parser"]()
    return made


def scripts(directory: Path) -> list[Path]:
    """Return the executables in ``directory``; the package has the library there too."""
    return [directory / "tedge", *sorted(directory.glob("tedge-*"))]


def parsers(directory: Path) -> dict[str, Parser]:
    """Return each executable's parser by the words that are typed: `tedge`, `tedge cert renew`."""
    found = (parser_of(each) for each in scripts(directory))
    return {each.prog: each for each in found}


def below(name: str, parser: Parser) -> Iterator[tuple[str, Parser]]:
    """Yield the parser and those of its sub-commands, at any depth, by the words that are typed."""
    yield name, parser
    for word, made in parser.sub_commands().items():
        yield from below(f"{name} {word}", made)


def all_parsers(directory: Path) -> dict[str, Parser]:
    """Return the parser of every command and sub-command; a family (`tedge cert`) has that of `tedge`."""
    top = parsers(directory)
    found = {name: made for each, parser in top.items() for name, made in below(each, parser)}
    families = {name.rpartition(" ")[0] for name in top} - {""}
    return dict(sorted({**dict.fromkeys(families, top["tedge"]), **found}.items()))
