# SPDX-License-Identifier: Apache-2.0
"""Files that an installation finds: links that keep the broker from starting, files of others, odd configurations."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert import systemd
from tedge_cert.bridge import conf_files
from tedge_cert.bridge.conf_files import Placement
from tedge_cert.commands import connect as connect_command
from tedge_cert.commands import takeover
from tedge_cert.config import settings
from tedge_cert.device.instance import load_instance
from tedge_cert.disk import owners
from tedge_cert.disk.owners import Access
from tedge_cert.errors import TedgeCertError
from tenant.ports import free_port
from unit.local_device import MOSQUITTO, LocalDevice

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change an owner")
# Calls that change a directory; a kill comes between two of them.
CHANGES = ("os.rename", "os.symlink", "os.remove", "os.link")


@pytest.fixture
def broker(tmp_path: Path, mocker: MockerFixture) -> Path:
    """The configuration of a broker; our directory beside it."""
    conf_d, main = tmp_path / "conf.d", tmp_path / "mosquitto.conf"
    conf_d.mkdir()
    (tmp_path / "mosquitto-conf").mkdir()
    main.write_text(f"include_dir {conf_d}\n")
    mocker.patch.object(conf_files, "CONF_D", conf_d)
    mocker.patch.object(conf_files, "MAIN", main)
    return tmp_path


def placements(broker: Path) -> list[Placement]:
    """As those of an instance, for a broker elsewhere."""
    names = ("tedge-mosquitto.conf", "c8y-bridge.conf")
    return [Placement(broker / "mosquitto-conf" / name, broker / "conf.d" / name) for name in names]


def starts(broker: Path) -> bool:
    """Whether mosquitto takes its configuration."""
    assert MOSQUITTO is not None
    argv = [MOSQUITTO, "-v", "-c", str(broker / "mosquitto.conf")]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            if line.rstrip().endswith(" running"):
                process.kill()  # at this point 2.0 forgets to be terminated
                return True
    return False


def killed_before(number: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that dies before its change of that number; return whether it died."""
    child = os.fork()
    if child == 0:
        left = [number]

        def watch(event: str, _: object) -> None:
            if event in CHANGES:
                if left[0] == 0:
                    os._exit(9)
                left[0] -= 1

        try:
            sys.addaudithook(watch)
            work()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 9}
    return code == 9


def connect(broker: Path) -> None:
    for place in placements(broker):
        place.put(f"listener {free_port()} 127.0.0.1\n")


def disconnect(broker: Path) -> None:
    for place in reversed(placements(broker)):
        place.remove()


def roll_back(broker: Path) -> None:
    for place in placements(broker):
        place.remove()


def test_the_broker_starts_wherever_the_work_is_killed(broker: Path) -> None:
    kills = 0
    for prepare, work in ((disconnect, connect), (connect, disconnect), (connect, roll_back)):
        number = 0
        prepare(broker)
        while killed_before(number, lambda work=work: work(broker)):  # type: ignore[misc]
            assert starts(broker), (work, number)
            prepare(broker)
            number += 1
        assert starts(broker)
        kills += number
    assert kills >= 12


def test_a_link_that_dangles_goes_and_others_stay(broker: Path) -> None:
    connect(broker)
    listener, bridge = placements(broker)
    bridge.file.unlink()
    mine = broker / "conf.d" / "mine.conf"
    mine.symlink_to(broker / "nowhere.conf")
    assert not starts(broker)
    assert conf_files.tidy_links(broker / "mosquitto-conf")
    assert listener.is_installed(listener.file.read_text())
    assert mine.is_symlink()
    mine.unlink()
    assert starts(broker)
    assert not conf_files.tidy_links(broker / "mosquitto-conf")


@pytest.mark.parametrize("line", ["include_dir {0}", "include_dir {0}/", " include_dir {0}"])
def test_a_link_to_what_the_broker_includes_goes(broker: Path, line: str) -> None:
    """Otherwise it would open the listener twice."""
    connect(broker)
    main = broker / "mosquitto.conf"
    main.write_text(f"{line.format(broker / 'mosquitto-conf')}\n{main.read_text()}")
    assert not starts(broker)
    assert conf_files.tidy_links(broker / "mosquitto-conf")
    assert list((broker / "conf.d").iterdir()) == []
    assert starts(broker)


def test_a_machine_without_a_broker_has_no_links(broker: Path) -> None:
    (broker / "conf.d").rmdir()
    assert not conf_files.tidy_links(broker / "mosquitto-conf")


def test_a_configuration_that_is_broken_fails_no_installation(
    tmp_path: Path, mocker: MockerFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mosquitto-conf").mkdir()
    (tmp_path / "mosquitto-conf" / "c8y-bridge.conf").touch()
    (tmp_path / "tedge.toml").write_text("c8y = [")
    mocker.patch.object(settings, "SYSTEM_DIRECTORY", str(tmp_path))
    takeover.adopt(first=True)
    said = capfd.readouterr().err
    assert "tedge.toml" in said
    assert "line 1" in said


def test_a_device_without_the_user_of_the_service_is_not_connected(
    local_device: LocalDevice, mocker: MockerFixture
) -> None:
    instance = load_instance("c8y", "", str(local_device.directory))
    mocker.patch("pwd.getpwnam", side_effect=KeyError("tedge"))
    mocker.patch("os.geteuid", return_value=0)
    connect_command._check_accounts(instance)  # a trial elsewhere has no accounts of its own
    mocker.patch.object(settings, "SYSTEM_DIRECTORY", str(local_device.directory))
    with pytest.raises(TedgeCertError, match=r"there is no user tedge .*`sudo apt install --reinstall"):
        connect_command._check_accounts(instance)


DAEMON = Access("daemon", "mail", 0o644)


@pytest.fixture
def etc(broker: Path, mocker: MockerFixture) -> Path:
    """The directory of the configuration as thin-edge leaves it: another user's, with all that is in it."""
    etc = broker / "etc"
    etc.mkdir()
    (broker / "mosquitto-conf").rename(etc / "mosquitto-conf")
    for each in (etc, etc / "mosquitto-conf"):
        os.chown(each, *owners.account_ids(DAEMON))
    mocker.patch.multiple(takeover, _ETC=etc, _CONF=etc / "mosquitto-conf")
    mocker.patch.object(settings, "SYSTEM_DIRECTORY", str(etc))
    mocker.patch.object(systemd, "is_running", return_value=False)
    return etc


def theirs(path: Path, text: str) -> Path:
    """Write a file of that user's."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.chown(path, *owners.account_ids(DAEMON))
    return path


@ROOT_ONLY
@pytest.mark.parametrize("toml", ["a = " + "[" * 50_000, "a = [", "c8y.url = 5", "c8y = 5\n"])
def test_no_settings_keep_the_rest_from_becoming_roots(etc: Path, toml: str, capfd: pytest.CaptureFixture[str]) -> None:
    found = [theirs(etc / "tedge.toml", toml), theirs(etc / "mosquitto-conf" / "evil.conf", "user root\n")]
    takeover.adopt(first=True)
    assert [each.stat().st_uid for each in (etc, etc / "mosquitto-conf", *found)] == [0] * 4
    assert f"{found[1]} is not from this package" in capfd.readouterr().err


@ROOT_ONLY
@pytest.mark.parametrize("name", ["mosquitto-conf", "mappers"])
def test_a_link_is_no_directory_of_roots(etc: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    evil = theirs(etc.parent / "home" / "evil.conf", "user root\n")
    if (etc / name).exists():
        (etc / name).rmdir()
    (etc / name).symlink_to(evil.parent)
    takeover.adopt(first=True)
    assert not (etc / name).is_symlink()
    assert (etc / "mosquitto-conf").lstat().st_uid == 0
    assert f"{etc / name}.ignored is no plain file" in capfd.readouterr().err


@ROOT_ONLY
def test_the_paths_that_another_user_could_set_are_named(etc: Path, capfd: pytest.CaptureFixture[str]) -> None:
    theirs(etc / "tedge.toml", '[device]\nkey_path = "/home/x"\ntype = "x"\n')
    takeover.adopt(first=True)
    assert [each for each in capfd.readouterr().err.splitlines() if "could set" in each] == [
        "warning: user tedge could set device.key_path until now: check it by `tedge config get device.key_path`"
    ]
    takeover.adopt(first=False)
    assert "could set" not in capfd.readouterr().err


@ROOT_ONLY
def test_only_a_bridge_that_was_roots_is_linked_as_it_is(etc: Path) -> None:
    """One that another user could write is written from the settings first, and without settings it stays out."""
    theirs(etc / "mosquitto-conf" / "c8y-bridge.conf", "connection x\nuser root\n")
    (etc / "mosquitto-conf" / "c8y@own-bridge.conf").write_text("connection y\n")
    takeover.adopt(first=False)
    assert [each.name for each in (etc.parent / "conf.d").iterdir()] == ["50-tedge-c8y@own-bridge.conf"]


@pytest.mark.parametrize(("work", "code"), [(lambda: True, 10), (lambda: False, 0), (lambda: 1 // 0, 0)])
def test_the_part_that_is_tedge_ends_with_its_work(mocker: MockerFixture, work: Callable[[], bool], code: int) -> None:
    """It does not go on with what root has to do."""
    mocker.patch("tedge_cert.commands.root_tasks.serve", return_value=None)
    mocker.patch("tedge_cert.disk.privileges.has_parent", return_value=True)
    mocker.patch.object(os, "_exit", side_effect=SystemExit)
    with pytest.raises(SystemExit):
        takeover._as_tedge("", work)
    os._exit.assert_called_once_with(code)  # type: ignore[attr-defined]
