# SPDX-License-Identifier: Apache-2.0
"""Files and words of an administrator: tedge.toml, values of every type."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tedge_cert import durations
from tedge_cert.config import edit, settings
from tedge_cert.config.keys.table import KEYS
from tedge_cert.device import connection_settings, state
from tedge_cert.device.instance import identity, resolve, threshold_s
from tedge_cert.errors import TedgeCertError

# In memory, as every case writes it; it ends with the process.
_HELD = tempfile.TemporaryDirectory(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
_DIRECTORY = Path(_HELD.name)
_TYPES = sorted({key._parse for key in KEYS.values()}, key=lambda each: each.__qualname__)
_DERIVED: tuple[Callable[[Any], object], ...] = (
    identity, connection_settings.tenant_of, connection_settings.broker_of, connection_settings.files_of,
    lambda instance: connection_settings.mosquitto_of(instance, connection_settings.tenant_of(instance)),
    lambda instance: (instance.candidate, instance.bridge_file, instance.state_file, instance.words, instance.timer),
)  # fmt: skip
_CHANGES: tuple[tuple[Callable[..., None], tuple[str, ...]], ...] = (
    (edit.set_value, ("device.type", "gateway")),
    (edit.unset_value, ("c8y.url",)),
    (edit.add_value, ("c8y.topics", "te/x")),
)
FILES = (
    b'[device]\ncert_path = "/etc/tedge/c.pem"\nid = "d-1"\n[c8y]\nurl = "t.example"\nhttp = "t.example:443"\n'
    b'[c8y.profiles.p]\nmqtt = "[::1]:8883" # why\n[certificate.validity]\nminimum_duration = "30d"\n',
    b'device.key_path = "/k"\nmqtt.bind.port = 1883\nc8y.topics = ["a", "te/+/x"]\nunknown.key = {a = 1, b = [1, 2]}\n',
    b'[mqtt]\nport = 1883\nbind = {address = "127.0.0.1"}\n[[list]]\nx = 1979-05-27T07:32:00Z\ny = 1e5\n'
    b"[http]\nbind.port = 0x10\n'a b' = true\n",
)
STATES = (
    b'{"version": 1, "result": "no-answer", "step": "renew", "reason": "why", "at_s": 1795548605, "attempts": 3}',
    b'{"next_attempt_s": 1795552205, "settings": "0a1b", "succeeded_s": 0, "serial": "1a2b", "key_fits": true}',
    b'{"not_before_s": 1795548605, "not_after_s": 1827084605, "key_fits": null, "looked_at_s": 1, "guarded": [1e400]}',
)
VALUES = (b"30d", b"1h 30m", b"90", b"device-1", b"t.example:443", b"[::1]:8883", b"/etc/tedge", b"true", b"a,b",
    b"te/+/#", "٣d".encode(), b"127.0.0.1", b"65535", "²".encode(), b"1 y")  # fmt: skip


def _written(content: bytes) -> settings.Config:
    (_DIRECTORY / "tedge.toml").write_bytes(content)
    return settings.load(os.fspath(_DIRECTORY))


def read_file(content: bytes) -> None:
    """A configuration, with everything that follows from it."""
    try:
        read = _written(content)
    except TedgeCertError:
        return
    for action in (read.check, read.profiles):
        _only_own_errors(action)
    _only_own_errors(threshold_s, read, 86_400)
    try:
        instance = resolve(read, "c8y")
    except TedgeCertError:
        return
    for derive in _DERIVED:
        _only_own_errors(derive, instance)


def change_file(content: bytes) -> None:
    """A change of a key keeps whatever else the file says, or is refused with the file as it was."""
    path = _DIRECTORY / "tedge.toml"
    for change, words in _CHANGES:
        try:
            read = _written(content)
        except TedgeCertError:
            return
        try:
            change(read, *words)
        except TedgeCertError:
            assert path.read_bytes() == content


def read_state(content: bytes) -> None:
    """What the last run left; garbage is an empty state."""
    path = _DIRECTORY / "c8y.json"
    path.write_bytes(content)
    read = state.load(path)
    assert all(isinstance(each, int) for each in (read.at_s, read.attempts, read.next_attempt_s, read.not_after_s))
    assert all(isinstance(each, str) for each in (read.result, read.step, read.reason, read.serial))
    assert read.key_fits in (True, False, None)


def read_value(content: bytes) -> None:
    """A text as a value of each type, as a file has it and as the command line has it."""
    text = content.decode("utf-8", "surrogateescape")
    for parse in _TYPES:
        try:
            parse(text)
        except ValueError:
            continue
    try:
        assert durations.duration_s(text) >= 0
    except ValueError:
        return


def _only_own_errors(action: Callable[..., Any], *arguments: Any) -> None:
    try:
        action(*arguments)
    except TedgeCertError:
        return
