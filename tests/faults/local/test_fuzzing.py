# SPDX-License-Identifier: Apache-2.0
"""A million cases of bytes that others send, spoilt: none shows a traceback, hangs, or takes 100 MB."""

import pytest

from faults.fuzz.campaign import CASE_S, run
from faults.fuzz.targets import TARGETS
from faults.record import Matrix

CASES = 1_000_000
PARTS = 4
_WEIGHTS = sum(each.weight for each in TARGETS.values())

pytestmark = pytest.mark.row("Fuzzing")


@pytest.mark.whole
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("target", TARGETS)
def test_a_million(matrix: Matrix, target: str, part: int) -> None:
    cases = -(-CASES * TARGETS[target].weight // (_WEIGHTS * PARTS))
    outcome = run(target, cases, seed=100 + part)
    matrix.tally.cases += outcome.cases
    matrix.tally.tracebacks += len(outcome.failures)
    print(f"{target}: {outcome.cases / outcome.seconds:.0f} cases/s, the slowest {outcome.slowest_s:.3f} s")
    assert outcome.cases == cases
    assert outcome.failures == []
    assert outcome.slowest_s < CASE_S


@pytest.mark.parametrize("target", TARGETS)
def test_a_few(matrix: Matrix, target: str) -> None:
    outcome = run(target, 50 * TARGETS[target].weight, seed=2)
    matrix.tally.cases += outcome.cases
    assert outcome.failures == []
