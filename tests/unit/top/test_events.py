# SPDX-License-Identifier: Apache-2.0
"""Events: their catalog, and how they reach the journal."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert import events, systemd
from unit.local_device import ROOT

CATALOG = ROOT / "units" / "tedge-cert-renewer.catalog"
MANUAL = ROOT / "debian" / "man" / "tedge-cert-renewer.7"
FIELDS = {name: name.lower() for name in events.FIELDS}


def entries() -> dict[str, str]:
    """The entries of the catalog by their identifiers."""
    parts = re.split(r"^-- ([0-9a-f]{32})\n", CATALOG.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_event_is_in_the_table() -> None:
    defined = [each for each in vars(events).values() if isinstance(each, events.Event)]
    assert set(defined) == set(events.ALL)
    for name in ("name", "message_id", "headline"):
        assert len({getattr(each, name) for each in events.ALL}) == len(events.ALL)
    assert all(re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{19}", each.message_id) for each in events.ALL)


def test_no_event_without_entry_and_no_entry_without_event() -> None:
    assert list(entries()) == [each.message_id for each in events.ALL]


def test_the_manual_has_the_same_table() -> None:
    """Whoever looks for an event finds its identifier there."""
    levels = {3: "err", 4: "warning", 6: "info"}
    listed = re.findall(r"^\.It (\S+) Ta ([0-9a-f]{32}) Ta (\w+)$", MANUAL.read_text(), re.MULTILINE)
    assert listed == [(each.name, each.message_id, levels[each.priority]) for each in events.ALL]
    assert all(f".Ic {name}" in MANUAL.read_text() for name in events.FIELDS)


@pytest.mark.parametrize("event", events.ALL, ids=[each.name for each in events.ALL])
def test_an_entry_says_what_happened_and_what_to_type(event: events.Event) -> None:
    head, _, prose = entries()[event.message_id].partition("\n\n")
    assert [line.partition(":")[0] for line in head.splitlines()] == [
        "Subject",
        "Defined-By",
        "Support",
        "Documentation",
    ]
    assert set(re.findall(r"@([A-Z_]+)@", head + prose)) <= set(events.FIELDS)
    # A command to type, or the word that there is nothing to do.
    assert re.search(r"^  (tedge|journalctl|timedatectl) ", prose, re.MULTILINE) or "Nothing has to be done." in prose
    assert max(map(len, prose.splitlines())) <= 79


def test_what_needs_a_person_is_a_warning_or_an_error() -> None:
    for each in events.ALL:
        ordinary = each in (events.RENEWED, events.CONFIRMED_LATE, events.NOT_NEEDED)
        assert each.priority == (6 if ordinary else each.priority)
        assert ordinary or each.priority in (3, 4)


@pytest.fixture
def journald(tmp_path: Path, mocker: MockerFixture) -> Iterator[socket.socket]:
    """What the journal would receive."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "socket"))
        receiver.settimeout(5)
        mocker.patch.object(events, "_SOCKET", str(tmp_path / "socket"))
        yield receiver


def test_an_event_has_every_field(journald: socket.socket) -> None:
    events.send(events.ROLLED_BACK, {**FIELDS, "RENEWAL_REASON": "the bridge\nstays\x1b[0m away"})
    received = dict(line.split("=", 1) for line in journald.recv(65_536).decode().splitlines())
    identifier = received.pop("SYSLOG_IDENTIFIER")
    assert (identifier != "", "/" in identifier) == (True, False)
    assert received == {
        **FIELDS,
        "MESSAGE": "tedge_device_id: the former certificate is back in use",
        "MESSAGE_ID": events.ROLLED_BACK.message_id,
        "PRIORITY": "3",
        "RENEWAL_REASON": "the bridge stays [0m away",
    }


def test_no_value_can_add_a_field(journald: socket.socket) -> None:
    events.send(events.RENEWED, {**FIELDS, "TEDGE_DEVICE_ID": "a\nPRIORITY=0\nMESSAGE_ID=0"})
    names = [line.partition("=")[0] for line in journald.recv(65_536).decode().splitlines()]
    assert len(names) == len(set(names)) == len(events.FIELDS) + 4


def test_a_system_without_journal_is_none_of_our_business(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(events, "_SOCKET", str(tmp_path / "nobody"))
    events.send(events.RENEWED, FIELDS)


def test_a_journal_that_does_not_read_holds_up_nobody(journald: socket.socket) -> None:
    for _ in range(400):
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto(b"x", journald.getsockname())
        except BlockingIOError:
            break
    events.send(events.RENEWED, FIELDS)


def test_an_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0tedge-test-events")
        receiver.settimeout(5)
        systemd.datagram("@tedge-test-events", b"STATUS=x")
        assert receiver.recv(100) == b"STATUS=x"


def test_the_service_manager_is_told_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    systemd.status("nobody hears this")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        systemd.status("asking for a certificate")
        assert manager.recv(100) == b"STATUS=asking for a certificate\n"
