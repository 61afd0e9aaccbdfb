# SPDX-License-Identifier: Apache-2.0
"""Runs the executables of the checkout as child processes."""

import sys
from pathlib import Path

from unit import forked
from unit.local_device import ROOT, Result, outer_environment

BIN = ROOT / "bin"


def environment_for(directory: Path | None, **more: str) -> dict[str, str]:
    """Return the variables by which a command of the checkout finds its library and configuration."""
    configured = {} if directory is None else {"TEDGE_CONFIG_DIR": str(directory)}
    return {**outer_environment(), "PYTHONPATH": str(ROOT / "lib"), **configured, **more}


def run(
    words: list[str],
    directory: Path | None = None,
    *,
    isolated: bool = False,
    stdin: str | None = None,
    text: str = "",
    variables: dict[str, str] | None = None,
) -> Result:
    """Run an executable of `bin/` (or, with `text`, that program) by the interpreter of the tests.

    `isolated` leaves out its site-packages, as the shebang of the quick ones does.
    """
    program = ["-c", text, *words] if text else [str(BIN / words[0]), *words[1:]]
    command = [sys.executable, *(["-S"] if isolated else []), *program]
    result = forked.run(command, environment_for(directory, **(variables or {})), text=stdin or "")
    return Result(result.returncode, result.stdout, result.stderr)
