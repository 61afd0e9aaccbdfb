# SPDX-License-Identifier: Apache-2.0
"""Keep records of a registration: for root's part of it, for the next attempt, and for the next registration."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners
from tedge_cert.disk.lock import make_directory

# They hold the digest of a password that may not have been used yet, so other users may not read them.
_OWN = owners.Access("tedge", "mosquitto", 0o600)


@dataclass(frozen=True)
class Registration:
    """The credentials of a registration: the digest of the password, and the tenant as they name it."""

    password: str = ""
    url: str = ""


@dataclass(frozen=True)
class Attempts:
    """How many attempts failed since the boot with the same credentials, and the last one in monotonic seconds."""

    credentials: str = ""
    failed: int = 0
    at_s: float = 0.0


@dataclass(frozen=True)
class Unjudged:
    """A certificate that came while the clock was wrong: its digest, and that of the password that was spent on it."""

    certificate: str = ""
    password: str = ""


def digest(*parts: str) -> str:
    """Return a digest of a set of credentials."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def unfinished(instance: Instance) -> Registration | None:
    """Return the registration that has begun, until the device is connected; None if there is none."""
    path = _unfinished_file(instance)
    return _registration(path) if path.exists() else None


def last(instance: Instance) -> Registration:
    """Return the last registration that was finished; an empty one if there was none."""
    return _registration(_finished_file(instance))


def attempts(instance: Instance) -> Attempts:
    """Return the failed attempts since the boot."""
    found = _load(_attempts_file(instance))
    failed, at_s = found.get("failed"), found.get("at_s")
    if not (isinstance(failed, int) and isinstance(at_s, float)):
        return Attempts()
    return Attempts(str(found.get("credentials")), failed, at_s)


def begin(instance: Instance, registration: Registration) -> None:
    """Record, before the tenant is asked, that the device is to be connected, so that a power cut changes nothing."""
    files.write(_unfinished_file(instance), json.dumps(asdict(registration)).encode(), _OWN)


def finish(instance: Instance) -> None:
    """Record that the device is connected."""
    files.rename(_unfinished_file(instance), _finished_file(instance))


def save_attempts(instance: Instance, record: Attempts) -> None:
    """Keep the attempts until the next boot."""
    files.write(_attempts_file(instance), json.dumps(asdict(record)).encode(), _OWN)


def unjudged(instance: Instance) -> Unjudged:
    """Return the certificate that waits for the clock; an empty one if there is none."""
    found = _load(_unjudged_file(instance))
    return Unjudged(str(found.get("certificate") or ""), str(found.get("password") or ""))


def keep_unjudged(instance: Instance, waiting: Unjudged) -> None:
    """Record that this certificate waits for the clock."""
    make_directory(instance.state_file.parent, owners.SHARED_DIRECTORY)
    files.write(_unjudged_file(instance), json.dumps(asdict(waiting)).encode(), _OWN)


def end_unjudged(instance: Instance) -> None:
    """Record that no certificate waits for the clock."""
    files.remove(_unjudged_file(instance))


def end_attempts(instance: Instance) -> None:
    """Let the next registration begin without a pause."""
    files.remove(_attempts_file(instance))


def end_unfinished(instance: Instance) -> None:
    """Forget a registration that has begun, so that the device is not connected for it."""
    files.remove(_unfinished_file(instance))


def tidy(instance: Instance) -> None:
    """Remove the temporary files of registrations that were killed."""
    for path in (_unfinished_file, _finished_file, _unjudged_file, _attempts_file):
        files.remove_stale_temporaries(path(instance))


def _unfinished_file(instance: Instance) -> Path:
    return instance.state_file.with_suffix(".registering")


def _finished_file(instance: Instance) -> Path:
    return instance.state_file.with_suffix(".registered")


def _unjudged_file(instance: Instance) -> Path:
    return instance.state_file.with_suffix(".unjudged")


def _attempts_file(instance: Instance) -> Path:
    return instance.run_directory / f"{instance.name}.attempts"


def _registration(path: Path) -> Registration:
    found = _load(path)
    return Registration(str(found.get("password") or ""), str(found.get("url") or ""))


def _load(path: Path) -> dict[str, object]:
    """Return what the file holds; nothing without a file, or with another content than ours."""
    try:
        found = json.loads(files.read_regular(path, 4096))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
