# SPDX-License-Identifier: Apache-2.0
"""Events: their catalog, and how they reach the journal."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert import events, journal, systemd
from unit.local_device import ROOT

CATALOG = ROOT / "units" / "tedge-cert-renewer.catalog"
MANUAL = ROOT / "debian" / "man" / "tedge-cert-renewer.7"
ALL = [each for each in vars(events).values() if isinstance(each, events.Event)]
FIELDS = {name: name.lower() for name in events.FIELDS}


def entries() -> dict[str, str]:
    """The entries of the catalog by their identifiers."""
    parts = re.split(r"^-- ([0-9a-f]{32})\n", CATALOG.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_no_two_events_are_taken_for_each_other() -> None:
    for name in ("name", "message_id", "headline"):
        assert len({getattr(each, name) for each in ALL}) == len(ALL)
    assert all(re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{19}", each.message_id) for each in ALL)


def test_no_event_without_entry_and_no_entry_without_event() -> None:
    assert list(entries()) == [each.message_id for each in ALL]


def test_the_manual_has_the_same_table() -> None:
    """The manual lists the identifier of each event."""
    levels = {3: "err", 4: "warning", 6: "info"}
    listed = re.findall(r"^\.It (\S+) Ta ([0-9a-f]{32}) Ta (\w+)$", MANUAL.read_text(), re.MULTILINE)
    assert listed == [(each.name, each.message_id, levels[each.priority]) for each in ALL]
    assert all(f".Ic {name}" in MANUAL.read_text() for name in events.FIELDS)


@pytest.mark.parametrize("event", ALL, ids=[each.name for each in ALL])
def test_an_entry_says_what_happened_and_what_to_type(event: events.Event) -> None:
    head, _, prose = entries()[event.message_id].partition("\n\n")
    assert [line.partition(":")[0] for line in head.splitlines()] == [
        "Subject",
        "Defined-By",
        "Support",
        "Documentation",
    ]
    assert set(re.findall(r"@([A-Z_]+)@", head + prose)) <= set(events.FIELDS)
    # It has a command to type, or says that there is nothing to do.
    assert (
        re.search(r"^  (sudo )?(tedge|journalctl|timedatectl) ", prose, re.MULTILINE)
        or "Nothing has to be done." in prose
    )
    assert max(map(len, prose.splitlines())) <= 79


def test_what_needs_a_person_is_a_warning_or_an_error() -> None:
    for each in ALL:
        ordinary = each in (events.RENEWED, events.CONFIRMED_LATE, events.NOT_NEEDED)
        assert each.priority == (6 if ordinary else each.priority)
        assert ordinary or each.priority in (3, 4)


@pytest.fixture
def sent(mocker: MockerFixture) -> list[str]:
    """The fields that libsystemd would get."""
    found: list[str] = []
    mocker.patch("systemd.journal.sendv", lambda *fields: found.extend(fields))
    return found


def test_an_event_has_every_field(sent: list[str]) -> None:
    events.send(events.ROLLED_BACK, {**FIELDS, "RENEWAL_REASON": "the bridge\nstays\x1b[0m away"})
    received = dict(each.split("=", 1) for each in sent)
    identifier = received.pop("SYSLOG_IDENTIFIER")
    assert (identifier != "", "/" in identifier) == (True, False)
    assert {name: value for name, value in received.items() if not name.startswith("CODE_")} == {
        **FIELDS,
        "MESSAGE": "tedge_device_id: the previous certificate is back in use",
        "MESSAGE_ID": events.ROLLED_BACK.message_id,
        "PRIORITY": "3",
        "RENEWAL_REASON": "the bridge stays [0m away",
    }


def test_no_value_can_add_a_field(sent: list[str]) -> None:
    events.send(events.RENEWED, {**FIELDS, "TEDGE_DEVICE_ID": "a\nPRIORITY=0\nMESSAGE_ID=0"})
    assert not [each for each in sent if "\n" in each]
    assert len({each.partition("=")[0] for each in sent}) == len(sent)


@pytest.fixture
def said(mocker: MockerFixture) -> list[str]:
    """The lines for debugging."""
    found: list[str] = []
    mocker.patch.object(journal, "debug", found.append)
    return found


def test_a_system_without_the_module_does_without_events(
    said: list[str], mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    mocker.patch.dict(sys.modules, {"systemd": None})
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent")
    events.send(events.RENEWED, FIELDS)
    systemd.status("asking for a certificate")
    assert [each.partition(" did not reach")[0] for each in said] == ["the event renewed", "the status"]


def test_the_hourly_check_finds_the_module_too() -> None:
    """It starts without Debian's modules, but needs one to send an event."""
    program = "from tedge_cert import systemd; systemd.find_libraries(); from systemd import journal, daemon"
    subprocess.run(
        [sys.executable, "-S", "-c", program], env={"PYTHONPATH": str(ROOT / "lib")}, check=True, capture_output=True
    )


def test_a_journal_that_refuses_fails_nothing(said: list[str], mocker: MockerFixture) -> None:
    mocker.patch("systemd.journal.sendv", side_effect=ConnectionRefusedError(111, "Connection refused"))
    events.send(events.RENEWED, FIELDS)
    assert said == ["the event renewed did not reach the journal: [Errno 111] Connection refused"]


def test_a_journal_that_does_not_read_delays_no_step(said: list[str], mocker: MockerFixture) -> None:
    """libsystemd waits for ever; the system tests try the same with a journald that is stopped."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    mocker.patch.object(events, "_LIMIT_S", 0.05)
    mocker.patch("systemd.journal.sendv", side_effect=lambda *_: ours.recv(1))
    with ours, theirs:
        events.send(events.RENEWED, FIELDS)
    assert said == ["the event renewed did not reach the journal: sending it took longer than 0.05 s"]


def test_the_service_manager_gets_the_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.status("no manager reads this")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        systemd.status("asking for a certificate\nREADY=1")
        assert manager.recv(100) == b"STATUS=asking for a certificate READY=1"


def test_a_service_manager_that_does_not_read_delays_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str], mocker: MockerFixture
) -> None:
    mocker.patch.object(systemd, "_LIMIT_S", 0.05)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as filler,
    ):
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with pytest.raises(BlockingIOError):  # noqa: PT012 (the last one does not fit)
            while True:
                filler.sendto(b"x", manager.getsockname())
        systemd.status("asking for a certificate")
    assert len(said) == 1
