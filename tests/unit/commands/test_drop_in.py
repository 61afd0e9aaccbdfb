# SPDX-License-Identifier: Apache-2.0
"""The drop-in that lets the renewal write where a certificate is kept."""

from pathlib import Path

import pytest

from tedge_cert.commands import drop_in
from tedge_cert.errors import ConfigurationError
from unit.connected import instance_of
from unit.local_device import LocalDevice


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
    ("path", "said"),
    [
        ("/etc/tedge/device-certs/c.pem", ""),
        ("/data/c.pem", "may not write in /data; `tedge connect"),
    ],
)
def test_the_hint_of_config_set(path: str, said: str) -> None:
    hint = drop_in.hint(Path(path))
    assert said in hint
    assert bool(said) is bool(hint)
