# SPDX-License-Identifier: Apache-2.0
"""Work that is killed before one of its changes of a file: a verification, or any part of this process."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pytest_mock import MockerFixture

from unit import forked
from unit.local_device import ROOT, LocalDevice

_PROGRAM = """
import os, signal, sys
from tedge_cert.disk import files
from tedge_cert.device.instance import load_instance
from unit.recipes import verify

left = int(sys.argv[1])

def counted(real):
    def call(*arguments):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    return call

for name in ("write_temporary", "rename", "remove"):
    setattr(files, name, counted(getattr(files, name)))
verify(load_instance("c8y", "", os.environ["TEDGE_CONFIG_DIR"]))
"""


def verify_until(device: LocalDevice, changes: int) -> "subprocess.CompletedProcess[str]":
    """Run `verify`, and kill it before it changes a file once more than `changes` times."""
    environment = {**device.environment, "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT / 'tests'}"}
    program = device.directory / "verify"
    program.write_text(_PROGRAM)
    return forked.run([sys.executable, str(program), str(changes)], environment)


class Killed(BaseException):
    """Ends a run where it stands, as a power cut does: nothing catches it."""


@contextmanager
def killed_after(changes: int, mocker: MockerFixture, look: Callable[[int], None] = lambda _: None) -> Iterator[None]:
    """End the block before it changes the disk once more; `look` is called after each change, with their number."""
    done = 0

    def counted(real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal done
            if done == changes:
                raise Killed
            done += 1
            result = real(*arguments, **options)
            look(done)
            return result

        return call

    for name in ("rename", "unlink"):
        mocker.patch.object(Path, name, counted(getattr(Path, name)))
    mocker.patch("tedge_cert.disk.files.os.fsync", counted(os.fsync))
    with suppress(Killed):
        yield
    mocker.stopall()
