# SPDX-License-Identifier: Apache-2.0
"""Root's tasks take their paths from root's settings, and check again what the command hands over."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert import systemd
from tedge_cert.bridge.conf_files import Placement
from tedge_cert.bridge.mosquitto_conf import Found
from tedge_cert.commands import root_tasks
from tedge_cert.commands.root_tasks import Root
from tedge_cert.disk import owners, privileges
from tedge_cert.disk.owners import Access
from tedge_cert.errors import ConfigurationError, TedgeCertError
from unit.connected import files_of, instance_of
from unit.local_device import LocalDevice

FOUND = Found("device-1", False, False)
DAEMON = Access("daemon", "mail", 0o666)


@pytest.mark.parametrize(
    "words",
    [
        "enable --now tedge-cert-renewer@c8y.timer", "disable --now tedge-cert-renewer-c8y@a-b_1.timer",
        "restart mosquitto.service", "show --property=LoadState mosquitto.service",
    ],
)  # fmt: skip
def test_systemctl_is_run_for_our_units(local_device: LocalDevice, mocker: MockerFixture, words: str) -> None:
    systemctl = mocker.patch.object(systemd, "systemctl", return_value="")
    Root(instance_of(local_device)).systemctl(*words.split())
    systemctl.assert_called_once_with(*words.split())


@pytest.mark.parametrize(
    "words",
    [
        ["start", "ssh.service"], ["enable", "/home/tedge/evil.service"], ["stop", "mosquitto.service"],
        ["start", "tedge-cert-renewer@../../x.service"], ["start", "tedge-cert-renewer@c8y.service.evil"],
        ["restart", "evil-mosquitto.service"], ["restart", "mosquitto_service"], ["restart", "mosquitto.service\n"],
        ["--root=/home/tedge", "enable", "mosquitto.service"], ["edit", "--property=x"], ["start", ""], [], "start",
        ["set-environment", "LD_PRELOAD=/home/tedge/x"], ["show", "mosquitto.service", "--host=evil"],
    ],
)  # fmt: skip
def test_systemctl_is_run_for_nothing_else(local_device: LocalDevice, mocker: MockerFixture, words: list[str]) -> None:
    systemctl = mocker.patch.object(systemd, "systemctl")
    with pytest.raises(TedgeCertError, match="is no task of this command"):
        Root(instance_of(local_device)).systemctl(*words)
    systemctl.assert_not_called()


@pytest.mark.parametrize(
    "change",
    [
        {"device_id": "a "}, {"device_id": "a\nuser root"}, {"device_id": ""},
        {"username": "t1/x\nuser root", "password": "x"}, {"username": "t1/x", "password": "x\nlog_dest file /etc/x"},
        {"username": "t1/x", "password": "x\x85user root"},
    ],
)  # fmt: skip
def test_mosquitto_gets_no_directive_of_the_command(local_device: LocalDevice, change: dict[str, str]) -> None:
    if "username" in change:
        file = local_device.directory / "tedge.toml"
        file.write_text(file.read_text().replace("[c8y]\n", '[c8y]\nauth_method = "basic"\n'))
    instance = instance_of(local_device)
    with pytest.raises(ConfigurationError):
        Root(instance).write_broker_files(replace(FOUND, **change))  # type: ignore[arg-type]
    assert list(instance.bridge_file.parent.iterdir()) == []
    Root(instance).write_broker_files(replace(FOUND, username="t1/x", password="x"))
    assert files_of(local_device).bridge.exists()


def test_files_that_mosquitto_would_not_find_are_taken_back(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """A bridge's file that mosquitto does not know of would pass for a connection."""
    instance = instance_of(local_device)
    mocker.patch.object(Placement, "link_up", side_effect=TedgeCertError("read-only"))
    with pytest.raises(TedgeCertError, match="read-only"):
        Root(instance).write_broker_files(FOUND)
    assert list(instance.bridge_file.parent.iterdir()) == []


def test_root_reads_no_password_file_that_others_can_write(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """The password is in a directory that others can write, so they choose what root reads."""
    secret = local_device.directory / "credentials.toml"
    secret.write_text('[c8y]\nhost = "127.0.0.1"\nusername = "t1/x"\npassword = "secret"\n')
    file = local_device.directory / "tedge.toml"
    line = f'[c8y]\nauth_method = "basic"\ncredentials_path = "{secret}"\n'
    file.write_text(file.read_text().replace("[c8y]\n", line))
    read = root_tasks._TASKS["read_credentials"]
    only_roots = mocker.patch.object(owners, "is_only_roots", return_value=False)
    with pytest.raises(ConfigurationError, match="can be written by others than root"):
        read(lambda: instance_of(local_device))
    only_roots.assert_called_once_with(secret)
    only_roots.return_value = True
    assert read(lambda: instance_of(local_device)) == ["t1/x", "secret", "127.0.0.1"]


def test_owners_are_restored_in_one_directory_only(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """Key and certificate are elsewhere: what has their names in the directory is another file."""
    restore = mocker.patch.object(owners, "restore")
    Root(instance_of(local_device)).restore_owners()
    restore.assert_called_once_with(local_device.directory / "device-certs", {})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change an owner")
def test_the_files_of_the_broker_are_roots_before_a_command_of_roots(tmp_path: Path, mocker: MockerFixture) -> None:
    directory = tmp_path / "mosquitto-conf"
    directory.mkdir()
    texts = {"c8y-bridge.conf": "remote_password x\n", "tedge-mosquitto.conf": "listener 1883\n", "mine.conf": ""}
    for name, text in texts.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o666)
        os.chown(directory / name, *owners.account_ids(DAEMON))
    mocker.patch.object(root_tasks, "SYSTEM_DIRECTORY", str(tmp_path))
    mocker.patch.object(systemd, "is_running", return_value=False)
    mocker.patch.multiple(privileges, is_root=lambda: True, split=lambda _: 0)
    with (directory / "c8y-bridge.conf").open("r+") as still_open:
        assert root_tasks.serve("") == 0
        # A process of that user still has the old file.
        still_open.write("user root\n")
    assert (directory / "c8y-bridge.conf").read_text() == texts["c8y-bridge.conf"]
    modes = {each.name: (each.stat().st_uid, each.stat().st_mode & 0o777) for each in directory.iterdir()}
    daemon, _ = owners.account_ids(DAEMON)
    # A file of the administrator's stays as it is.
    assert modes == {"c8y-bridge.conf": (0, 0o640), "tedge-mosquitto.conf": (0, 0o644), "mine.conf": (daemon, 0o666)}
