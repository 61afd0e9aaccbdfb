# SPDX-License-Identifier: Apache-2.0
"""The drop-in that lets the renewal write where a certificate is kept."""

import os
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.commands import drop_in
from tedge_cert.errors import ConfigurationError
from unit.connected import configure, instance_of
from unit.local_device import LocalDevice
from unit.pairs import want_new_keys


def move(device: LocalDevice, where: str) -> None:
    file = device.directory / "tedge.toml"
    file.write_text(file.read_text().replace(f"{device.directory}/certs/", f"{where}/"))


@pytest.mark.parametrize(
    ("where", "lines"),
    [
        ("/data/certs", ['ReadWritePaths="-/data/certs"']),
        ("/data/my certs 100%", ['ReadWritePaths="-/data/my certs 100%%"']),
        ("/home/device", ['ReadWritePaths="-/home/device"', "ProtectHome=read-only"]),
    ],
)
def test_what_the_drop_in_says(local_device: LocalDevice, where: str, lines: list[str]) -> None:
    move(local_device, where)
    text = drop_in.text_of(instance_of(local_device))
    assert text.splitlines()[1:] == ["[Service]", *lines]
    assert drop_in.drop_in(instance_of(local_device)) == Path(
        "/etc/systemd/system/tedge-cert-renewer@c8y.service.d/50-certificate-path.conf"
    )


@pytest.mark.parametrize(("where", "words"), [("/tmp/x", "a /tmp of its own"), ("/data/it's", "quote")])
def test_directories_that_no_drop_in_opens(local_device: LocalDevice, where: str, words: str) -> None:
    move(local_device, where)
    with pytest.raises(ConfigurationError, match=words):
        drop_in.text_of(instance_of(local_device))


@pytest.mark.parametrize(
    "root", ["/", "/etc", "/usr", "/home", "/var", "/boot", "/root", "/run", "/dev", "/proc", "/sys"]
)
def test_a_root_is_not_opened_as_a_whole(local_device: LocalDevice, root: str) -> None:
    move(local_device, root.rstrip("/"))
    with pytest.raises(
        ConfigurationError, match=rf"^{root} is not opened to the renewal as a whole; .*cert_path {root}"
    ):
        drop_in.text_of(instance_of(local_device))


def test_nor_is_a_link_to_one(local_device: LocalDevice) -> None:
    link = local_device.directory / "link"
    link.symlink_to("/etc")
    move(local_device, str(link))
    with pytest.raises(ConfigurationError, match="as a whole"):
        drop_in.text_of(instance_of(local_device))


class Systemd:
    """A service manager that answers how the unit is confined, with our drop-in or without."""

    def __init__(self, units: Path, opened: str = "") -> None:
        self.units = units
        self.opened = opened
        self.reloads = 0

    def systemctl(self, *words: str) -> str:
        """Answer as systemctl does."""
        if words == ("daemon-reload",):
            self.reloads += 1
            return ""
        texts = [each.read_text() for each in self.units.glob("*/*.conf")]
        paths = ["-/etc/tedge/device-certs", self.opened]
        paths += [line.partition("=")[2].strip('"') for text in texts for line in text.splitlines() if "Write" in line]
        home = "read-only" if any("ProtectHome" in text for text in texts) else "tmpfs"
        return f"ProtectSystem=strict\nProtectHome={home}\nReadWritePaths={' '.join(paths)}\n"


@pytest.fixture
def systemd(tmp_path: Path, mocker: MockerFixture) -> Systemd:
    """A service manager whose units are in a directory of the test."""
    made = Systemd(tmp_path / "units")
    made.units.mkdir()
    mocker.patch.object(drop_in, "UNITS", made.units)
    mocker.patch("tedge_cert.systemd.systemctl", made.systemctl)
    return made


def test_it_is_written_once_and_removed_when_nothing_needs_it(
    local_device: LocalDevice, systemd: Systemd, capsys: pytest.CaptureFixture[str]
) -> None:
    move(local_device, "/data/certs")
    before = os.umask(0o077)
    try:
        for _ in range(2):
            drop_in.update(instance_of(local_device))
    finally:
        os.umask(before)
    path = drop_in.drop_in(instance_of(local_device))
    assert 'ReadWritePaths="-/data/certs"' in path.read_text()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777, systemd.reloads) == (0o644, 0o755, 1)
    assert capsys.readouterr().err == f"{path} opens /data/certs to the renewal\n"
    drop_in.warn_if_shut(instance_of(local_device))
    assert "is shut" not in capsys.readouterr().err
    file = local_device.directory / "tedge.toml"
    file.write_text(file.read_text().replace("/data/certs/", "/data/other/"))
    drop_in.update(instance_of(local_device))
    assert 'ReadWritePaths="-/data/other"' in path.read_text()
    file.write_text(file.read_text().replace("/data/other/", "/etc/tedge/device-certs/"))
    drop_in.update(instance_of(local_device))
    assert (path.exists(), systemd.reloads) == (False, 3)
    drop_in.update(instance_of(local_device))
    assert systemd.reloads == 3


def test_a_key_in_a_home_needs_it_too(local_device: LocalDevice, systemd: Systemd) -> None:
    file = local_device.directory / "tedge.toml"
    text = file.read_text().replace(f"{local_device.directory}/certs/key.pem", "/home/device/key.pem")
    file.write_text(text.replace(f"{local_device.directory}/certs/", "/etc/tedge/device-certs/"))
    drop_in.update(instance_of(local_device))
    text = drop_in.drop_in(instance_of(local_device)).read_text()
    assert text.splitlines()[1:] == ["[Service]", "ProtectHome=read-only"]
    assert systemd.reloads == 1


@pytest.mark.parametrize("wanted", [False, True])
def test_a_new_key_needs_the_directory_of_the_key(local_device: LocalDevice, wanted: bool) -> None:
    move(local_device, "/data/certs")
    configure(local_device, "/data/certs/key.pem", "/data/keys/key.pem")
    if wanted:
        want_new_keys(local_device)
    assert ('ReadWritePaths="-/data/keys"' in drop_in.text_of(instance_of(local_device))) is wanted
    configure(local_device, "/data/keys/key.pem", "/etc/key.pem")
    if wanted:
        said = (
            r"^/etc is not opened .* keep the key in a directory of its own, .*device.key_path /etc/tedge-certs/key.pem"
        )
        with pytest.raises(ConfigurationError, match=said):
            drop_in.text_of(instance_of(local_device))


def test_what_an_administrator_opened_needs_none(local_device: LocalDevice, systemd: Systemd) -> None:
    move(local_device, "/var")
    systemd.opened = "-/var"
    drop_in.update(instance_of(local_device))
    assert list(systemd.units.iterdir()) == []


def test_what_another_drop_in_takes_away_is_said(
    local_device: LocalDevice, systemd: Systemd, capsys: pytest.CaptureFixture[str]
) -> None:
    move(local_device, "/data/certs")
    drop_in.warn_if_shut(instance_of(local_device))
    assert "/data/certs is shut to the renewal: another drop-in of tedge-cert-renewer@c8y.service" in (
        capsys.readouterr().err
    )
    assert systemd.reloads == 0


@pytest.mark.parametrize(("path", "shut"), [("/etc/tedge/device-certs/c.pem", False), ("/data/c.pem", True)])
def test_the_hint_of_config_set(path: str, shut: bool) -> None:
    said = "the renewal may not write in /data yet\n    => `sudo tedge reconnect c8y --profile p` lets it"
    assert drop_in.hint(Path(path), "c8y --profile p") == (said if shut else "")
