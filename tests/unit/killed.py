# SPDX-License-Identifier: Apache-2.0
"""A verification that is killed before one of its changes of a file."""

import subprocess
import sys

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


def verify_until(device: LocalDevice, changes: int) -> "subprocess.CompletedProcess[bytes]":
    """Run `verify`, and kill it before it changes a file once more than `changes` times."""
    environment = {**device.environment, "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT / 'tests'}"}
    program = [sys.executable, "-c", _PROGRAM, str(changes)]
    return subprocess.run(program, env=environment, capture_output=True, timeout=60, check=False)
