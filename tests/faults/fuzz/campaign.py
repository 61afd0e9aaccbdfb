# SPDX-License-Identifier: Apache-2.0
"""Many cases of one target in this process, each with a limit of time, all with one of memory."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from faults.fuzz.spoiling import spoil
from faults.fuzz.targets import TARGETS
from tedge_cert.deadline import bounded

CASE_S = 5.0
MEMORY_BYTES = 100 << 20
CORPUS = Path(__file__).with_name("corpus")


@dataclass
class Outcome:
    """What a campaign found; a failure is the input and what it led to."""

    target: str
    cases: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    failures: list[tuple[bytes, str]] = field(default_factory=list)


@contextmanager
def limited_memory(more_bytes: int = MEMORY_BYTES) -> Iterator[None]:
    """Let this process have so much more than it has now; beyond that, MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def case(target: str, content: bytes) -> str:
    """What is wrong with how `content` is read; empty if it is read or refused as it should be."""
    try:
        with bounded(CASE_S, "the case"):
            TARGETS[target].read(content)
    # Whatever it is: the campaign reports it and goes on.
    except (Exception, RecursionError) as error:  # noqa: BLE001
        return f"{type(error).__name__}: {str(error)[:300]}"
    return ""


def run(target: str, cases: int, seed: int) -> Outcome:
    """Spoil the target's good streams `cases` times; the same seed gives the same cases."""
    random, outcome = Random(seed), Outcome(target)  # noqa: S311
    seeds = TARGETS[target].seeds
    began_s = time.monotonic()
    with limited_memory():
        for _ in range(cases):
            content = spoil(random.choice(seeds), seeds, random)
            case_s = time.monotonic()
            if wrong := case(target, content):
                outcome.failures.append((content, wrong))
            outcome.slowest_s = max(outcome.slowest_s, time.monotonic() - case_s)
            outcome.cases += 1
    outcome.seconds = time.monotonic() - began_s
    return outcome
