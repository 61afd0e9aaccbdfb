# SPDX-License-Identifier: Apache-2.0
"""Write the manual pages: one for each executable, from its parser, and tedge.toml(5), from the table of keys.

`python3 debian/manual.py DIRECTORY`, with the library on PYTHONPATH.
Debian's python3-argparse-manpage cannot do it: its module has different names in 12 (1.2.2) and 13 (4.5), and it does
not write exit codes, environment, files and keys.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tedge_cert.cli.arguments import Parser
from tedge_cert.cli.executables import below, parsers
from tedge_cert.config.keys.table import KEYS, is_kept, listed

BIN = Path(__file__).resolve().parent.parent / "bin"
FILES = {
    "": {"/etc/tedge/tedge.toml": "the configuration"},
    "tedge cert": {"/etc/tedge/device-certs/": "key, certificate, and the candidate beside it"},
    "tedge cert download-once": {"/etc/credstore/": "credentials: device id, one-time password, tenant"},
    "tedge cert finish-download": {"/etc/credstore/": "credentials; the used password is removed"},
    "tedge cert status": {
        "/var/lib/tedge-cert-renewer/": "what the last run left",
        "/usr/share/tedge-cert-renewer/status.schema.json": "what --json prints",
    },
    "tedge cert verify": {"/run/tedge-cert-renewer/": "locks, and what one step leaves for the next"},
    "tedge cert cleanup": {"/run/tedge-cert-renewer/": "locks, and what one step leaves for the next"},
    "tedge config": {
        "/etc/tedge/mappers/": "a file for each profile of a cloud, as thin-edge 2.x keeps them",
        "/etc/tedge/tedge.toml.bak": "the configuration before the last upgrade",
    },
    "tedge connect": {"/etc/tedge/mosquitto-conf/": "the bridge, reached by links in /etc/mosquitto/conf.d"},
    "tedge disconnect": {"/etc/tedge/mosquitto-conf/": "the bridge, reached by links in /etc/mosquitto/conf.d"},
    "tedge hsm": {
        "/etc/tedge/openssl.cnf": "how OpenSSL uses the private key; no other user may be able to write it",
        "/etc/tedge/openssl.env": "the variables that say so, for every command that uses the key, and for mosquitto",
        "/etc/systemd/system/mosquitto.service.d/52-tpm.conf": "gives these variables to mosquitto, which then waits "
        "for the TPM at boot",
        "/etc/systemd/system/tedge-cert-renewer@c8y.service.d/52-tpm.conf": "opens the TPM, and no other device, to "
        "the renewal; the registration has the same",
    },
    "tedge reconnect": {"/etc/tedge/mosquitto-conf/": "the bridge, reached by links in /etc/mosquitto/conf.d"},
}


def text(words: str) -> str:
    """Return plain text as lines of mdoc, one a sentence, escaped so that no line is a request."""
    sentences = re.sub(r"(?<=[\w)`]\.) +(?=[A-Z`])", "\n", words.replace("\\", "\\e"))
    return "".join(f"\\&{line}\n" for line in sentences.split("\n"))


def word(argument: str) -> str:
    """Return one argument of a macro."""
    escaped = argument.replace("\\", "\\e").replace('"', "\\(dq")
    return f'"\\&{escaped}"'


def head(name: str, section: int, summary: str) -> str:
    date = time.strftime("%B %-d, %Y", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    return (
        f".Dd {date}\n.Dt {name.upper()} {section}\n.Os\n.Sh NAME\n.Nm {name}\n.Nd {summary[0].lower()}{summary[1:]}\n"
    )


def entries(rows: Iterable[tuple[str, str]]) -> str:
    items = "".join(f".It {label}\n{text(told)}" for label, told in rows)
    return f".Bl -tag -width Ds\n{items}.El\n" if items else ""


def label(action: argparse.Action) -> str:
    """Return an option or argument with its value, as macros."""
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    shown = "" if action.nargs == 0 else f" Ar {word(str(value))}"
    flags = " , ".join(f"Fl {option[1:]}" for option in action.option_strings)
    return f"{flags}{shown}" if flags else shown.strip()


def own(parser: Parser) -> list[argparse.Action]:
    """Return the arguments without the sub-commands and the options of every command."""
    common = {option for each in Parser("").arguments() for option in each.option_strings}
    found = (each for each in parser.arguments() if not isinstance(each, argparse._SubParsersAction))
    return [each for each in found if not common & set(each.option_strings)]


def synopsis(name: str, parser: Parser) -> str:
    shown = ((label(each), each.required and each.nargs != "?") for each in own(parser))
    return f".Nm {name}\n" + "".join(f".{each}\n" if needed else f".Op {each}\n" for each, needed in shown)


def options(actions: Iterable[argparse.Action]) -> str:
    return entries((label(each), each.help or "") for each in actions)


def page(name: str, parser: Parser, others: dict[str, Parser]) -> str:
    """Return the manual page of an executable."""
    summary = (parser.description or "").rstrip(".")
    leaves = [(each, made) for each, made in below(name, parser) if not made.sub_commands()]
    made = head(name.replace(" ", "-"), 1, summary)
    made += ".Sh SYNOPSIS\n" + "".join(synopsis(*each) for each in leaves)
    made += f".Sh DESCRIPTION\n{text(summary + '.')}"
    if name == "tedge":
        made += entries((f"Nm {each}", other.description or "") for each, other in others.items() if each != name)
    made += ".Ss Options\n" + options([*own(parser), *Parser("").arguments()])
    for each, inner in leaves:
        if inner is not parser:
            made += f".Ss {each}\n{options(own(inner))}"
    made += ".Sh ENVIRONMENT\n" + entries((f"Ev {word(each)}", told) for each, told in parser.variables().items())
    files = {path: told for start, found in FILES.items() if name.startswith(start) for path, told in found.items()}
    made += ".Sh FILES\n" + entries((f"Pa {path}", told) for path, told in files.items())
    made += ".Sh EXIT STATUS\n" + entries((str(code), told) for code, told in parser.exits.items())
    if examples := parser.examples():
        shown = (f"{text(f'{told[0].upper()}{told[1:]}:')}.Pp\n.Dl {typed}\n" for typed, told in examples.items())
        made += ".Sh EXAMPLES\n" + ".Pp\n".join(shown)
    pages = ["tedge 1"] * (name != "tedge") + ["tedge.toml 5", "tedge-cert-renewer 7"]
    return made + ".Sh SEE ALSO\n" + " ,\n".join(f".Xr {each}" for each in pages) + "\n"


def keys_page() -> str:
    """Return tedge.toml(5): every configuration key."""
    made = head("tedge.toml", 5, "configuration of a thin-edge device")
    made += ".Sh DESCRIPTION\n" + text(
        "The configuration of the device, in /etc/tedge or in the directory of --config-dir or TEDGE_CONFIG_DIR. tedge "
        "config reads and changes it, and keeps comments, order and unknown keys. A key begins with its table; "
        "[c8y.profiles.NAME] has the keys of a profile. An environment variable overrides the file: TEDGE_C8Y_URL for "
        "c8y.url, with a plain value, or a text in quotes or a list as TOML writes them; an empty one unsets the key. "
        "The file is in UTF-8. Nothing in this package reads a key that is marked as kept for thin-edge: "
        "it is stored and listed for the programs of thin-edge."
    )
    made += ".Pp\n" + text(
        "Names of earlier versions are read too, in files, variables and on the command line: . and _ in a name mean "
        "the same (c8y.smartrest_templates), and some had other words, such as mqtt.external.capath, apt.dpk and azure "
        "for az. A key that is there in two spellings is an error, as is a config.version other than 1 and 2. Each "
        "command names the keys and variables that nothing knows, with the nearest known one; the hourly check and the "
        "other steps of the unit do not."
    )
    made += ".Sh KEYS\n.Bl -tag -width Ds\n"
    for name in listed(KEYS):
        paragraphs = [*KEYS[name].doc.split("\n"), *filter(None, [KEYS[name].note])]
        paragraphs += ["Kept for thin-edge."] * is_kept(name)
        made += f".It Ic {name}\n" + "".join(map(text, paragraphs)) + text(f"Example: {KEYS[name].example}")
    made += ".El\n.Sh FILES\n" + entries(
        [
            ("Pa /etc/tedge/tedge.toml", "the configuration"),
            (
                "Pa /etc/tedge/mappers/c8y/mapper.toml",
                "The keys of c8y, without the name of the cloud in front. Where a cloud has such a file, or one for a "
                "profile (c8y.NAME/mapper.toml), none of its keys is read from tedge.toml; tedge config upgrade moves "
                "what is left there.",
            ),
        ]
    )
    return made + ".Sh SEE ALSO\n.Xr tedge-config 1 ,\n.Xr tedge-cert-renewer 7\n"


def main(directory: Path) -> None:
    found = parsers(BIN)
    for name, parser in found.items():
        (directory / f"{name.replace(' ', '-')}.1").write_text(page(name, parser, found), encoding="utf-8")
    (directory / "tedge.toml.5").write_text(keys_page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
