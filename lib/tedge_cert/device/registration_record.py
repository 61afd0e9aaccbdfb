# SPDX-License-Identifier: Apache-2.0
"""What a registration records: that it began, that it was finished, and the attempts that failed.

The files hold the digest of a password that may not have been used yet, so other users may not read them.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tedge_cert import journal
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners
from tedge_cert.errors import TedgeCertError

# The files beside the state, by their ends.
_UNFINISHED, _FINISHED, _DEVICE_ID, _PASSWORD = ".registering", ".registered", ".device-id", ".one-time-password"


@dataclass(frozen=True)
class Attempts:
    """How many attempts failed since the boot with the same credentials, and how long to wait after the last one.

    ``at_s`` is in monotonic seconds.
    """

    credentials: str = ""
    failed: int = 0
    at_s: float = 0.0
    pause_s: int = 0


def digest(*parts: str) -> str:
    """Return the SHA-256 of credentials, in hexadecimal digits."""
    import hashlib

    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def is_unfinished(instance: Instance) -> bool:
    """Return whether a registration began whose device is not connected yet."""
    return _file(instance, _UNFINISHED).exists()


def last_password(instance: Instance) -> str:
    """Read the digest of the password of the last registration that was finished; empty if there was none."""
    return str(_load(_file(instance, _FINISHED)).get("password") or "")


def attempts(instance: Instance) -> Attempts:
    found = _load(_attempts_file(instance))
    failed, at_s, pause_s = (found.get(each) for each in ("failed", "at_s", "pause_s"))
    if not (isinstance(failed, int) and isinstance(at_s, float) and isinstance(pause_s, int)):
        return Attempts()
    return Attempts(str(found.get("credentials")), failed, at_s, pause_s)


def keep_password(instance: Instance, device_id: str, host: str, password: str) -> None:
    """Keep a password that was generated here until it is used, so that the next call goes on with it."""
    content = json.dumps({"device_id": device_id, "host": host, "password": password})
    files.write_state(_file(instance, _PASSWORD), content.encode(), owners.SECRET)


def kept_password(instance: Instance, device_id: str, host: str) -> str:
    """Read the password that was generated for this device at this tenant; empty if there is none."""
    found = _load(_file(instance, _PASSWORD))
    fits = (found.get("device_id"), found.get("host")) == (device_id, host)
    return str(found.get("password") or "") if fits else ""


def end_password(instance: Instance) -> None:
    """Forget the password that was generated here: it is used, or of no use any more."""
    files.remove(_file(instance, _PASSWORD))


def begin(instance: Instance, password: str) -> None:
    """Record a registration, with the digest of its password, before the tenant is asked.

    So the device is connected even after a power cut.
    """
    files.write(_file(instance, _UNFINISHED), json.dumps({"password": password}).encode(), owners.SECRET)


def finish(instance: Instance) -> None:
    """Record that the device is connected, so that its registration is finished."""
    files.rename(_file(instance, _UNFINISHED), _file(instance, _FINISHED))


def save_attempts(instance: Instance, record: Attempts) -> None:
    """Write the attempts, which the next boot forgets."""
    files.write(_attempts_file(instance), json.dumps(asdict(record)).encode(), owners.SECRET)


def end_attempts(instance: Instance) -> None:
    """Let the next registration begin without a pause."""
    files.remove(_attempts_file(instance))


def end_unfinished(instance: Instance) -> None:
    """Forget a registration that began: its device is not to be connected any more."""
    files.remove(_file(instance, _UNFINISHED))


def keep_device_id(instance: Instance, device_id: str) -> None:
    """Keep the id of a device whose certificate is removed, to be offered when it is registered again.

    The removal goes on where it cannot be kept.
    """
    content = json.dumps({"device_id": device_id})
    try:
        files.write_state(_file(instance, _DEVICE_ID), content.encode(), owners.SECRET)
    except (OSError, TedgeCertError) as error:
        journal.info(f"the device id {device_id} is not kept: {error}")


def last_device_id(instance: Instance) -> str:
    """Return the id that the device had when its certificate was removed; empty if none was removed."""
    kept = _load(_file(instance, _DEVICE_ID)).get("device_id")
    return kept if isinstance(kept, str) and kept.isprintable() else ""


def tidy(instance: Instance) -> None:
    """Remove the temporary files of registrations that were killed."""
    beside_state = [_file(instance, each) for each in (_UNFINISHED, _FINISHED, _DEVICE_ID, _PASSWORD)]
    for path in (*beside_state, _attempts_file(instance)):
        files.remove_stale_temporaries(path)


def _file(instance: Instance, suffix: str) -> Path:
    return instance.state_file.with_suffix(suffix)


def _attempts_file(instance: Instance) -> Path:
    return instance.run_directory / f"{instance.name}.attempts"


def _load(path: Path) -> dict[str, object]:
    """Read a JSON object; an empty one if there is no such file, or if it holds anything else."""
    try:
        found = json.loads(files.read_regular(path, 4096))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
