# SPDX-License-Identifier: Apache-2.0
"""Run a Python script in a process that was forked, as a new process of the interpreter would."""

import atexit
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

_GIVEN = os.environ.get("PYTHONPATH", "").split(":")
_PATH = [each for each in sys.path[1:] if each not in _GIVEN]
"""without the directory of the script that imported this, which is the server, and without what this was given"""


def become(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """Make this process what a new one of the interpreter would be, and return its script."""
    variables = dict(environment)
    os.environ.clear()
    os.environ.update(variables)
    time.tzset()
    script = words[0]
    sys.argv[:] = words
    sys.orig_argv[:] = [sys.executable, *words]
    sys.pycache_prefix = os.environ.get("PYTHONPYCACHEPREFIX")
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    sys.path[:] = [str(Path(script).parent), *os.environ["PYTHONPATH"].split(":"), *_PATH]
    return script


def run(script: str) -> int:
    """Run it as `__main__`, and return its exit code."""
    code = compile(Path(script).read_bytes(), script, "exec")
    main = type(sys)("__main__")
    main.__dict__.update(__file__=script, __builtins__=__builtins__)
    sys.modules["__main__"] = main
    try:
        exec(code, main.__dict__)  # noqa: S102
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 (as the interpreter does)
        sys.excepthook(*sys.exc_info())
    else:
        return 0
    return 1


def end(code: int) -> NoReturn:
    """End as the interpreter does, but leave the memory alone: to clear it costs more than most programs."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
