# SPDX-License-Identifier: Apache-2.0
"""Watch and restart the mapper of thin-edge, which reads the certificate only when it starts.

A restart is asked for by a file: systemd restarts the mapper when this user writes to it, and does nothing else. That
another process speaks for the mapper is the proof that it happened.
"""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tedge_cert import journal
from tedge_cert.bridge import local_broker
from tedge_cert.bridge.health import Bridge
from tedge_cert.deadline import Deadline
from tedge_cert.device.connections import LocalBroker, Mapper
from tedge_cert.disk import files, owners
from tedge_cert.durations import format_duration
from tedge_cert.errors import TedgeCertError
from tedge_cert.hourly import mapper_process
from tedge_cert.net.mqtt import Connection, Message

RESTART_S = 20.0
# A request that comes while systemd still serves an earlier one starts nothing.
ASK_AGAIN_S = 5.0
# How long its bridge may take from there until it is connected, or says that it is not.
CONNECT_S = 15.0
# After the mapper says that it runs, it takes the last of its sessions back at once.
TAKEN_BACK_S = 3.0
HOLD_S = 5.0
# A retained operation follows the SUBACK at once.
OPERATIONS_S = 0.5
# The bridge waits up to 7.5 s before it connects again.
SETTLE_S = 10.0
LEAST_PAUSE_S = 0.9
# Any local client can publish there.
_MOST_OPERATIONS = 1000
_EXECUTING = "executing"
_PROCESSES_OF_START = 2


class MapperBridge(Bridge):
    """A connection to the local broker that watches the mapper and the bridge that is built into it."""

    counts_seconds = False

    def __init__(self, broker: LocalBroker, mapper: Mapper, timeout_s: float | None, retained_s: float) -> None:
        self.mapper = mapper
        self._pid = 0
        self._says_up: bool | None = None
        self._operations: set[str] = set()
        # Whether its restart was asked for, and the processes that were seen since.
        self.was_asked = False
        self._started: set[int] = set()
        super().__init__(broker, timeout_s, retained_s)
        self.settle_s, self.journal = SETTLE_S, f"`sudo journalctl -u {mapper.unit}`"
        # How long the mapper may take from the request until it says that it runs.
        self.restart_s = RESTART_S

    @property
    def processes(self) -> list[int]:
        """The processes of the mapper, as systemd has them and as it says itself; none if it does not run.

        While the broker restarts, it says of a mapper that runs that it is down; a number alone may be another's.
        """
        found = mapper_process.processes(self.mapper.unit)
        counts = (self._says_up or found is None) and self._pid and mapper_process.is_alive(self._pid)
        return [*(found or []), *([self._pid] if counts else [])]

    def reads_again_s(self, fell_s: float) -> float:
        """Return before which time a bridge that fell at ``fell_s`` does not connect again; it reads nothing then."""
        return fell_s + LEAST_PAUSE_S

    def uses_former(self, certificate: Path) -> bool:
        """Return whether the mapper was started before the file at ``certificate`` was put there."""
        return mapper_process.is_behind(self.processes, str(certificate)) is True

    def uses_present(self, certificate: Path) -> bool:
        """Return whether the mapper was seen to start after the file at ``certificate`` was put there."""
        return mapper_process.is_behind(self.processes, str(certificate)) is False

    def wait_until_idle(self, timeout_s: float) -> None:
        """Wait until no operation is in progress, because a restart of the mapper would interrupt its downloads."""
        self._connection.subscribe(self.mapper.operations_topic)
        if not self._wait(lambda: bool(self._operations), OPERATIONS_S):
            return
        operation = min(self._operations, default="an operation")
        journal.info(
            f"{operation} is in progress: the certificate is switched when it has ended, or in "
            f"{format_duration(int(timeout_s))}"
        )
        if not self._wait(lambda: not self._operations, timeout_s):
            journal.warning(f"{operation} is still in progress; the mapper is restarted all the same")

    def restart(self) -> float | None:
        """Have the mapper restarted; return when that was asked for, or None if no other process spoke for it.

        Raises TedgeCertError if it cannot be asked for.
        """
        before = {self._pid, *self.processes}
        self.was_asked = True
        with self._held_sessions() as sessions:
            asked_s, deadline = time.monotonic(), Deadline(self.restart_s)
            self._ask_for_restart()
            while not self._wait(lambda: self._is_another(before), min(ASK_AGAIN_S, deadline.left_s())):
                found = set(self.processes)
                self._started |= found - before
                if deadline.passed() or self.is_lost:
                    return None
                if found & before:
                    self._ask_for_restart()
            for session in sessions:
                session.wait_for_close(TAKEN_BACK_S)
        return asked_s

    @property
    def ends_by_itself(self) -> bool:
        """Whether the mapper was seen not to stay since its restart was asked for."""
        found = mapper_process.processes(self.mapper.unit)
        # A start has two processes one after the other, that of ExecStartPre= and its own.
        return found is not None and (not found or len(self._started.union(found)) > _PROCESSES_OF_START)

    def _ask_for_restart(self) -> None:
        files.write(self.mapper.restart_file, b"", owners.HANDOVER)

    def _is_another(self, before: set[int]) -> bool:
        """Return whether another process speaks for the mapper, which is one of its unit: any client can say so."""
        found = mapper_process.processes(self.mapper.unit)
        return self._says_up is True and self._pid not in before and (not found or self._pid in found)

    def connects(self, since_s: float) -> bool:
        """Wait for a word of the bridge after ``since_s``; return whether the last one is that it is connected."""
        self._wait(lambda: any(at >= since_s for at, _ in self._changes), CONNECT_S)
        with self._changed:
            said = [up for at, up in self._changes if at >= since_s]
        return bool(said) and said[-1]

    @contextmanager
    def _held_sessions(self) -> Iterator[list[Connection]]:
        """Hold the sessions of the mapper at the broker until it takes them back.

        mosquitto from 2.0.12 on (with per_listener_settings) drops what is published to a session without a client.
        """
        with ExitStack() as stack:
            held = [self._hold(each) for each in self.mapper.sessions]
            yield [stack.enter_context(each) for each in held if each is not None]

    def _hold(self, client_id: str) -> Connection | None:
        try:
            session = local_broker.connect(self.broker, HOLD_S, client_id=client_id, holds_session=True)
            if session.has_session:
                return session
            session.close()
            # A session that nobody takes back would stay in the broker, so it ends with this connection.
            local_broker.connect(self.broker, HOLD_S, client_id=client_id).close()
        except (OSError, TedgeCertError) as error:
            journal.warning(f"messages may be lost while the mapper restarts: its session {client_id}: {error}")
        return None

    def _topics(self) -> tuple[str, ...]:
        return (self.broker.health_topic, self.mapper.health_topic)

    def _is_known(self) -> bool:
        return self._up is not None and self._says_up is not None

    def _note(self, message: Message, text: str) -> None:
        self._up = _of(text, "status") == "up"
        # A mapper whose sessions were held does not say that its bridge fell, so each word counts, not each change.
        if not message.is_retained:
            self._changes.append((message.at_s, self._up))

    def _note_other(self, message: Message, text: str) -> None:
        if message.topic == self.mapper.health_topic:
            pid = _of(text, "pid")
            self._says_up = _of(text, "status") == "up"
            self._pid = pid if type(pid) is int and pid > 0 else 0
        elif _of(text, "status") != _EXECUTING:
            self._operations.discard(message.topic)
        elif "/cmd/" in message.topic and len(self._operations) < _MOST_OPERATIONS:
            self._operations.add(message.topic)


def _of(text: str, name: str) -> object:
    """Return a value in a JSON object; None for any other text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found.get(name) if isinstance(found, dict) else None
