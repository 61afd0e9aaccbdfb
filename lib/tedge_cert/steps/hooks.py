# SPDX-License-Identifier: Apache-2.0
"""Run an administrator's programs after a renewal, or after one that failed.

They run as user tedge, in the confinement of the unit that runs the step, after its locks are free. Nothing that they
do fails a renewal.
"""

import os
import signal
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tedge_cert import journal, processes
from tedge_cert.disk import owners

DIRECTORY = Path("/etc/tedge-cert-renewer/hooks.d")
RENEWED, FAILED = "renewed", "failed"
TIMEOUT_S = 60.0


def run(kind: str, facts: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> None:
    """Run the programs for ``kind`` in the order of their names, with ``facts`` in their environment."""
    if os.geteuid() == 0:
        # Without user tedge there is nobody to run them as.
        return
    environment = {"PATH": processes.PATH, "LANG": "C.UTF-8", **facts}
    for program in programs(kind):
        try:
            _run(program, environment, timeout_s)
        except (OSError, ValueError) as error:
            journal.warning(f"the hook {program} did not run: {getattr(error, 'strerror', None) or error}")


def programs(kind: str) -> list[Path]:
    """Return the executable files for ``kind``; one that another user than root could change is left out."""
    try:
        names = sorted((DIRECTORY / kind).iterdir())
    except OSError:
        return []
    found = [each for each in names if _is_program(each)]
    safe = []
    for each in found:
        if owners.is_only_roots(each):
            safe.append(each)
        else:
            journal.warning(
                f"the hook {each} was not run, because others than root can change it, or it is a link: "
                f"`sudo chown root:root {each} && sudo chmod 755 {each}`"
            )
    return safe


def _is_program(path: Path) -> bool:
    # What editors and dpkg leave beside a file is none.
    if path.name.startswith(".") or path.name.endswith("~") or ".dpkg-" in path.name:
        return False
    try:
        facts = path.stat()
    except OSError as error:
        journal.warning(f"the hook {path} was not run, because it cannot be examined: {error.strerror}")
        return False
    return stat.S_ISREG(facts.st_mode) and bool(facts.st_mode & 0o111)


def _run(program: Path, environment: Mapping[str, str], timeout_s: float) -> None:
    journal.info(f"running the hook {program}")
    # Its output goes where ours goes. A session of its own lets a late one be stopped with all that it started.
    with subprocess.Popen(
        [os.fspath(program)],
        stdin=subprocess.DEVNULL,
        stdout=2,
        env=dict(environment),
        cwd="/",
        start_new_session=True,
    ) as process:
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            journal.warning(f"the hook {program} was stopped after {timeout_s:g} s; the renewal is as it was")
            return
    if code:
        journal.warning(f"the hook {program} failed (status {code}); the renewal is as it was")
