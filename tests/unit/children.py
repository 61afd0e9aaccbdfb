# SPDX-License-Identifier: Apache-2.0
"""Runs the executables of the checkout: as child processes, or within this one."""

import io
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from tedge_cert.cli import entry
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


class _Ended(BaseException):
    """Ends an executable within this process; nothing of the product catches it."""


def run_here(words: list[str], directory: Path, **variables: str) -> Result:
    """Run an executable of `bin/` within this process, where faults can be set and what it reaches is seen."""

    def end(code: int) -> None:
        raise _Ended(code)

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", [str(BIN / words[0]), *words[1:]])
        patch.setattr(entry, "_end", end)
        patch.setenv("TEDGE_CONFIG_DIR", str(directory))
        for name, value in variables.items():
            patch.setenv(name, value)
        try:
            runpy.run_path(str(BIN / words[0]), run_name="__main__")
        except (_Ended, SystemExit) as ended:
            code = ended.args[0] if isinstance(ended, _Ended) else ended.code
    said = [each.buffer.getvalue().decode() for each in (out, err)]
    return Result(int(code or 0), *said)
