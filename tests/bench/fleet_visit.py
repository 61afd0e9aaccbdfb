# SPDX-License-Identifier: Apache-2.0
"""One activation of a device of the fleet, in a process of its own: what the unit's steps call, in their order."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tedge_cert.device import state
from tedge_cert.device.instance import load_instance
from tedge_cert.errors import TedgeCertError
from tedge_cert.steps import needs_renewal
from unit import recipes

HELD_BACK, RENEWED, FAILED = "held back", "renewed", "failed"


@dataclass(frozen=True)
class Visit:
    """How an activation ended."""

    number: int
    result: str
    seconds: float
    reason: str = ""
    next_attempt_s: int = 0
    """as the state has it, by the clock"""


def begin(log: str) -> None:
    """Send what the steps say to a file, as the journal does."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 2)


def activate(number: int, directory: str) -> Visit:
    """Condition and renew."""
    question = needs_renewal.Question()
    question.cloud, question.config_dir, question.systemd = "c8y", directory, True
    began_s = time.monotonic()
    instance = load_instance("c8y", "", directory)
    result, reason = HELD_BACK, ""
    if needs_renewal.full_check(question) == needs_renewal.RENEW:
        try:
            recipes.renew(instance, None, by_unit=True)
            result = RENEWED
        except TedgeCertError as error:
            result, reason = FAILED, str(error)
    seconds = time.monotonic() - began_s
    return Visit(number, result, seconds, reason, state.load(instance.state_file).next_attempt_s)


def promote(number: int, directory: str) -> Visit:
    """Verify."""
    began_s = time.monotonic()
    instance = load_instance("c8y", "", directory)
    try:
        recipes.verify(instance)
    except TedgeCertError as error:
        return Visit(number, FAILED, time.monotonic() - began_s, str(error))
    unfinished = [path for path in (instance.candidate, instance.previous) if Path(path).exists()]
    return Visit(number, FAILED if unfinished else RENEWED, time.monotonic() - began_s)
