# SPDX-License-Identifier: Apache-2.0
"""Write the table of commands into README, from the parsers: `python3 debian/table.py README.md`."""

import re
import sys
from pathlib import Path

from tedge_cert.cli.arguments import Parser
from tedge_cert.cli.executables import parsers

BIN = Path(__file__).resolve().parent.parent / "bin"
BEGIN, END = "<!-- commands: made by debian/table.py -->\n", "<!-- end of commands -->\n"


def row(name: str, parser: Parser) -> str:
    """Return the row of a command: its words, its arguments and its summary."""
    words = [name, "\\|".join(parser.sub_commands())]
    for each in parser.arguments():
        if not each.option_strings and not parser.sub_commands():
            shown = str(each.metavar or "\\|".join(map(str, each.choices or [each.dest.upper()])))
            words.append(f"[{shown}]" if each.nargs == "?" else shown)
    return f"| `{' '.join(filter(None, words))}` | {(parser.description or '').rstrip('.')} |\n"


def table() -> str:
    return "| command | |\n| --- | --- |\n" + "".join(
        row(name, each) for name, each in parsers(BIN).items() if name != "tedge"
    )


def renewed(text: str) -> str:
    """Return README with the present table."""
    made = f"{BEGIN}\n{table()}\n{END}"
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: made, text, flags=re.DOTALL)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
