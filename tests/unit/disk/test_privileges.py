# SPDX-License-Identifier: Apache-2.0
"""Root becomes tedge for good, and a process that stays root does only the tasks that it was given."""

import fcntl
import grp
import json
import os
import pty
import signal
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.disk import files, owners, privileges
from tedge_cert.disk.owners import Access
from tedge_cert.errors import TedgeCertError

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to drop")
DAEMON = Access("daemon", "mail", 0o644)


@pytest.fixture
def as_daemon(mocker: MockerFixture, tmp_path: Path) -> tuple[int, int]:
    """The user and group of every Debian that stand for tedge and mosquitto."""
    mocker.patch.multiple(privileges, USER=DAEMON.user, GROUP=DAEMON.group, RUN_DIRECTORY=str(tmp_path / "run"))
    return owners.account_ids(DAEMON)


def in_child(work: Callable[[], object]) -> object:
    """Run ``work`` in a process of its own, and return what it returns, or the text of its error."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            said = json.dumps(work())
        except BaseException as error:  # noqa: BLE001 (the parent asserts what it was)
            said = json.dumps(f"{type(error).__name__}: {error}")
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        told: object = json.loads(file.read())
    os.wait()
    return told


@ROOT
def test_root_becomes_that_user_for_good(tmp_path: Path, as_daemon: tuple[int, int]) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "theirs").write_text("root's")

    def work() -> object:
        os.umask(0)
        privileges.drop()
        refused = 0
        ways: list[Callable[[], None]] = [
            lambda: os.seteuid(0),
            lambda: os.setresuid(0, 0, 0),
            lambda: os.setgroups([0]),
        ]
        for back in ways:
            try:
                back()
            except PermissionError:
                refused += 1
        try:
            files.write(tmp_path / "theirs", b"x", DAEMON)
        except TedgeCertError as error:
            return [os.getresuid(), os.getresgid(), os.getgroups(), refused, os.umask(0), str(error)]
        return "it wrote root's file"

    user, group = as_daemon
    found = in_child(work)
    assert isinstance(found, list)
    assert found[:5] == [[user] * 3, [group] * 3, [group], 3, 0o022]
    assert "Permission denied" in found[5]
    # The directory of the locks is made before: in /run, only root can.
    assert (tmp_path / "run").stat().st_uid == user
    assert sorted(each.name for each in tmp_path.iterdir()) == ["run", "theirs"]


@ROOT
@pytest.mark.parametrize(
    ("names", "kept"),
    [((), []), (("tape",), [26]), (("tape", "games", "no-such-group"), [26])],
    ids=["a key as a file", "a key in hardware", "only where tedge is a member"],
)
def test_of_tedges_groups_only_that_of_the_hardware_is_kept(
    names: tuple[str, ...], kept: list[int], as_daemon: tuple[int, int], mocker: MockerFixture
) -> None:
    members = {"mail": 8, "tape": 26, "adm": 4}
    known = {name: grp.struct_group((name, "x", number, [DAEMON.user])) for name, number in members.items()}
    known["games"] = grp.struct_group(("games", "x", 60, []))
    mocker.patch("grp.getgrnam", known.__getitem__)

    def work() -> object:
        privileges.keep_groups(names)
        privileges.drop()
        return sorted(os.getgroups())

    assert in_child(work) == sorted([as_daemon[1], *kept])


@ROOT
@pytest.mark.usefixtures("as_daemon")
def test_the_terminal_goes_with_the_rights_of_root() -> None:
    """What is loaded into a command, such as the library of a token, could type on it (TIOCSTI)."""
    shell, terminal = pty.fork()
    if shell == 0:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = 2
        try:
            code = 0 if in_child(_type_as_daemon) == "KeyboardInterrupt: " else 1
        finally:
            os._exit(code)
    said = b""
    while b"ready" not in said and b"typed" not in said:
        said += os.read(terminal, 100)
    # Ctrl-C ends it all the same.
    os.write(terminal, b"\x03")
    _, status = os.waitpid(shell, 0)
    os.close(terminal)
    assert (os.waitstatus_to_exitcode(status), b"typed" in said) == (0, False)


def _type_as_daemon() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    privileges.drop()
    for way in (lambda: fcntl.ioctl(0, termios.TIOCSTI, b"x"), lambda: os.open("/dev/tty", os.O_RDWR)):
        with suppress(OSError):
            way()
            os.write(1, b"typed")
    os.write(1, b"ready")
    signal.pause()


@ROOT
@pytest.mark.usefixtures("as_daemon")
def test_a_directory_of_locks_that_is_there_keeps_its_owner(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "other")
    assert in_child(privileges.drop) is None
    assert (tmp_path / "other").stat().st_uid == 0


def test_nothing_changes_without_the_accounts(mocker: MockerFixture) -> None:
    mocker.patch.object(privileges, "USER", "no-such-user")
    before = os.getresuid()
    privileges.drop()
    assert (os.getresuid(), privileges.split({})) == (before, None)
    assert not privileges.has_parent()
    with pytest.raises(TedgeCertError, match="run this command as root"):
        privileges.ask_root("restart")


def split(work: Callable[[], object], **tasks: privileges.Task) -> object:
    """Split a process of its own, and return what the child says of ``work``."""

    def both() -> object:
        reader, writer = os.pipe()
        code = privileges.split(tasks)
        if code is None:
            try:
                said = work()
            except Exception as error:  # noqa: BLE001 (the parent asserts what it was)
                said = f"{type(error).__name__}: {error}"
            os.write(writer, json.dumps(said).encode())
            os._exit(7)
        os.close(writer)
        with os.fdopen(reader) as file:
            return [code, json.loads(file.read())]

    return in_child(both)


@ROOT
@pytest.mark.usefixtures("as_daemon")
def test_the_parent_does_its_tasks_and_ends_with_the_code_of_the_child() -> None:
    def work() -> object:
        return [os.geteuid() == 0, privileges.ask_root("who", suffix="!"), privileges.ask_root("who", suffix="?")]

    assert split(work, who=lambda suffix: f"{os.geteuid()}{suffix}") == [7, [False, "0!", "0?"]]


def of_words(words: list[str]) -> bool:
    return all(each.startswith("-") for each in words)


def failing() -> None:
    raise TedgeCertError("mosquitto does not start")


def unwritable() -> None:
    raise OSError("read-only")


@ROOT
@pytest.mark.usefixtures("as_daemon")
@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda: privileges.ask_root("fail"), "TedgeCertError: mosquitto does not start"),
        (lambda: privileges.ask_root("chown", path="/etc/shadow"), "TedgeCertError: root refused a task: KeyError"),
        (lambda: privileges.ask_root("fail", path="/etc/shadow"), "TedgeCertError: root refused a task: TypeError"),
        (lambda: privileges.ask_root("words", words=[5]), "TedgeCertError: root refused a task: AttributeError"),
        (lambda: send(b"["), "refused a task: JSONDecodeError"),
        # Python 3.14 reads it to its end, and does not find one.
        (lambda: send(b"[" * 60_000), "refused a task: "),
        (lambda: send(b"\xff\xfe"), "refused a task: "),
        (lambda: send(b'{"task": [], "values": {}}'), "refused a task: TypeError"),
        (lambda: send(b'{"task": "fail", "values": []}'), "refused a task: TypeError"),
        (lambda: privileges.ask_root("unwritable"), "TedgeCertError: root refused a task: OSError: read-only"),
        (lambda: privileges.ask_root("long"), "TedgeCertError: the answer of root's part has 70014 bytes"),
        (lambda: privileges.ask_root("words", words=["-" * 70_000]), "TedgeCertError: words: 70044 bytes for root's"),
        (lambda: privileges.ask_root("words", words=["-" * 2_000_000]), "TedgeCertError: words: 2000044 bytes for"),
    ],
)
def test_the_parent_refuses_all_else(work: Callable[[], object], said: str) -> None:
    tasks: dict[str, privileges.Task] = {
        "fail": failing,
        "unwritable": unwritable,
        "words": of_words,
        "long": lambda: "x" * 70_000,
    }
    found = split(work, **tasks)
    assert isinstance(found, list)
    assert (found[0], said in str(found[1])) == (7, True), found


def send(message: bytes) -> object:
    channel = privileges._to_root
    assert channel is not None
    channel.send(message)
    return channel.recv(65_536).decode()


@ROOT
@pytest.mark.usefixtures("as_daemon")
def test_a_child_that_is_killed_is_a_failure() -> None:
    def work() -> object:
        os.kill(os.getpid(), 9)
        return None

    reader, writer = os.pipe()
    if os.fork() == 0:
        code = privileges.split({})
        if code is None:
            work()
        os.write(writer, str(code).encode())
        os._exit(0)
    os.wait()
    assert os.read(reader, 10) == b"137"
