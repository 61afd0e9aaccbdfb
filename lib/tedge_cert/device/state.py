# SPDX-License-Identifier: Apache-2.0
"""What a run leaves for the next one, and for whoever asks: a small file of each instance, without secrets.

It is looked at only when a certificate is due. One that is missing or garbage counts as empty: it never keeps a
certificate from being renewed.
"""

import binascii
import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from tedge_cert import journal
from tedge_cert.config.settings import Config
from tedge_cert.disk import files, owners
from tedge_cert.disk.lock import make_directory
from tedge_cert.errors import TedgeCertError

VERSION = 1
_LIMIT_BYTES = 16_384
# What a time or a count may be, so that no sum of them can be too much for anybody.
_LIMIT = 1 << 53


@dataclass(frozen=True)
class State:
    """Times are seconds since the epoch; 0 and the empty text stand for "none"."""

    # The event that the last run ended with, the step it came from, and its line.
    result: str = ""
    step: str = ""
    reason: str = ""
    at_s: int = 0
    # Renewals that failed one after the other, and when the tenant is asked again.
    attempts: int = 0
    next_attempt_s: int = 0
    # What was configured then: attempts with other settings say nothing about these.
    settings: str = ""
    succeeded_s: int = 0
    # The active certificate, and whether the key is its, when a run looked at them last.
    serial: str = ""
    not_before_s: int = 0
    not_after_s: int = 0
    key_fits: bool | None = None
    looked_at_s: int = 0
    # The end of the certificate that came out of a renewal with a threshold longer than its life.
    guarded: int = 0


def load(path: Path) -> State:
    """The state in the file at ``path``."""
    try:
        found = json.loads(files.read_regular(path, _LIMIT_BYTES))
        if not isinstance(found, dict):
            raise ValueError("expected an object in JSON")
        known = {each.name: _checked(each.name, found[each.name]) for each in fields(State) if each.name in found}
    except FileNotFoundError:
        return State()
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        journal.warning(f"{path} cannot be read and counts as empty: {reason}; the next result replaces it")
        return State()
    return State(**known)


def save(path: Path, state: State) -> None:
    """Write the state, readable by all; what goes wrong is a warning, because no renewal may fail for it."""
    known = {name: value for name, value in asdict(state).items() if value not in ("", None)}
    try:
        make_directory(path.parent, owners.SHARED_DIRECTORY)
        # Of runs that were killed while they wrote; nobody else writes here while the lock is held.
        files.remove_stale_temporaries(path)
        files.write(path, json.dumps({"version": VERSION, **known}).encode(), owners.HANDOVER)
    except (OSError, TedgeCertError) as error:
        journal.warning(f"the result of this run is not kept: {error}")


def end_pause(path: Path) -> None:
    """Let the next run ask the tenant again: somebody was here and may have mended what was wrong."""
    kept = load(path)
    if kept.next_attempt_s:
        save(path, replace(kept, next_attempt_s=0))


def forget(path: Path) -> None:
    """Remove the state: what was, belongs to a former certificate."""
    try:
        files.remove(path)
    except (OSError, TedgeCertError) as error:
        journal.warning(f"the attempts of a former certificate are still kept: {error}")


def settings_of(config: Config) -> str:
    """A short mark of all that is configured, which changes with it; by files and ``TEDGE_*``, comments apart."""
    environment = sorted((name, text) for name, text in os.environ.items() if name.startswith("TEDGE_"))
    read = (config.directory, config.profile, config.tree(config.file), config.tree(config.mapper_file()), environment)
    return f"{binascii.crc32(repr(read).encode('utf-8', 'backslashreplace')):08x}"


def _checked(name: str, value: Any) -> Any:
    """A value of the type that the field has; raises ValueError."""
    expected = type(getattr(State(), name))
    if name == "key_fits":
        good = value is None or isinstance(value, bool)
    elif expected is int:
        good = type(value) is int and 0 <= value < _LIMIT
    else:
        good = isinstance(value, str)
    if not good:
        raise ValueError(f"{name} is {str(value)[:40]!r}")
    return value
