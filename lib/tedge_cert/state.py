# SPDX-License-Identifier: Apache-2.0
"""What a run leaves for the next, and for whoever asks."""

import json
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class State:
    """The last result and the attempts; everything may be missing."""

    result: str = ""
    step: str = ""
    reason: str = ""
    at_s: int = 0
    attempts: int = 0
    next_attempt_s: int = 0
    succeeded_s: int = 0
    serial: str = ""
    not_before_s: int = 0
    not_after_s: int = 0
    key_fits: bool | None = None
    looked_at_s: int = 0
    guarded: int = 0


def load(path: Path) -> State:
    """The state in the file; an empty one where there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return State()
    known = {each.name for each in fields(State)}
    return State(**{name: value for name, value in found.items() if name in known})
