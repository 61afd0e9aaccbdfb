# SPDX-License-Identifier: Apache-2.0
"""Run the four steps as the unit does every hour, on a device in a directory."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from faults.record import TRACEBACK, TracebackError
from faults.syscalls import Call
from unit import forked
from unit.local_device import ROOT, LocalDevice, Result

CONDITION = "tedge-cert-needs-renewal --systemd c8y"
RENEW = "tedge-cert-renew --systemd c8y --ca c8y"
VERIFY = "tedge-cert-verify c8y"
CLEANUP = "tedge-cert-cleanup c8y"
_TRACER = ROOT / "tests" / "faults" / "tracer.py"
DOWNLOAD = "tedge-cert-download c8y --device-id {}"


@dataclass
class Hour:
    """How a run of the unit ended: what systemd would call it, and what the steps said."""

    result: str
    steps: list[Result] = field(default_factory=list)

    @property
    def said(self) -> str:
        """All lines of all steps."""
        return "".join(each.stderr for each in self.steps)


def hour(device: LocalDevice) -> Hour:
    """Run the unit once; raises TracebackError if a step showed one."""
    run = Hour("success")
    for step, words in (("condition", CONDITION), ("renew", RENEW), ("verify", VERIFY)):
        run.steps.append(device.run(words))
        if run.steps[-1].exit:
            skipped = step == "condition" and run.steps[-1].exit != 255
            run.result = "exec-condition" if skipped else "exit-code"
            break
    # After the other two results, cleanup ends before it starts Python: tests/unit/steps/test_cleanup.py.
    if run.result == "exit-code":
        run.steps.append(device.run(CLEANUP, SERVICE_RESULT=run.result))
    if TRACEBACK in run.said:
        raise TracebackError(run.said)
    return run


@dataclass(frozen=True)
class Traced:
    """How a traced command ended, and the calls by which it changed files."""

    result: Result
    calls: list[Call]
    # Arguments and environment of what was started, the command itself first.
    started: list[dict[str, list[str]]]


def traced(
    device: LocalDevice, words: str, number: int = 0, when: str = "before", variables: Mapping[str, str] | None = None
) -> Traced:
    """Run a command, and kill it before or after the call of that number, if that is not 0.

    Without a number it is a new process, so that all of its start is seen.
    """
    log = device.directory.parent / "calls"
    started = log.with_name("calls.started")
    started.unlink(missing_ok=True)
    # The directory of the tests is for the tracer; the library alone is what the command sees of its own accord.
    path = f"{ROOT / 'lib'}:{ROOT / 'tests'}"
    environment = {**device.environment, **(variables or {}), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    tracer = [sys.executable, str(_TRACER), str(log), str(number), when]
    can_fork = number > 0 and forked.can_fork(tracer, environment, "")
    words_of_tracer = [*tracer, *(["--fork"] if can_fork else []), *device.command(words)]
    done = forked.run(words_of_tracer, environment, timeout_s=200)
    began = [json.loads(line) for line in started.read_text(encoding="utf-8").splitlines()] if started.exists() else []
    return Traced(Result(done.returncode, done.stdout, done.stderr), read_log(log), began)


def read_log(log: Path) -> list[Call]:
    """The calls that a tracer noted, in their order."""
    calls = [Call(**json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()]
    return sorted(calls, key=lambda each: each.number)
