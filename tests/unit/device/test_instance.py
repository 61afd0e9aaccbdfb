# SPDX-License-Identifier: Apache-2.0
"""The names of an instance, and the paths that follow from its settings."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert import beside
from tedge_cert.config import settings
from tedge_cert.device.instance import STATE_DIRECTORY, Names, device_id, identity, load_config, load_instance
from tedge_cert.errors import ConfigurationError
from tedge_cert.x509 import provider
from unit.certificates import make_for
from unit.children import run


@pytest.mark.parametrize(
    ("names", "name", "words", "service"),
    [
        (Names("", ""), "c8y", "c8y", "tedge-cert-renewer@c8y.service"),
        (Names("c8y", ""), "c8y", "c8y", "tedge-cert-renewer@c8y.service"),
        (Names("az", ""), "az", "az", "tedge-cert-renewer@az.service"),
        (Names("c8y", "p"), "c8y@p", "c8y --profile p", "tedge-cert-renewer-c8y@p.service"),
    ],
)
def test_names(names: Names, name: str, words: str, service: str) -> None:
    assert (names.name, names.words, names.service) == (name, words, service)
    assert names.timer == service.replace(".service", ".timer")


def test_settings_that_change_later_do_not_change_an_instance(tmp_path: Path) -> None:
    file = tmp_path / "tedge.toml"
    file.write_text('[device]\ncert_path = "/a/cert.pem"\n')
    instance = load_instance(directory=str(tmp_path))
    file.write_text('[device]\ncert_path = "/b/cert.pem"\n')
    assert instance.candidate == Path("/a/cert.pem.new")
    with pytest.raises(FrozenInstanceError):
        instance.key = Path("/b/key.pem")  # type: ignore[misc]


def test_the_directory_of_the_system_by_its_other_name(mocker: MockerFixture, tmp_path: Path) -> None:
    """It may be a link to another partition: whichever name is typed, there is one state, one lock and one place."""
    real, link = tmp_path / "data", tmp_path / "etc"
    real.mkdir()
    link.symlink_to(real)
    mocker.patch.object(settings, "SYSTEM_DIRECTORY", str(link))
    mocker.patch.object(beside, "DIRECTORY", str(link))
    files = {str(load_instance("c8y", directory=str(each)).state_file) for each in (real, link, f"{link}/")}
    assert files == {f"{STATE_DIRECTORY}/c8y.json"}
    assert {provider.state_directory(str(each)) for each in (real, link)} == {STATE_DIRECTORY}


def test_a_path_that_is_not_usable_stops_no_command_that_needs_only_settings(tmp_path: Path) -> None:
    (tmp_path / "tedge.toml").write_text('[device]\nkey_path = "relative"\n')
    assert load_config(directory=str(tmp_path)).need("device.cert_path")
    with pytest.raises(ConfigurationError, match="key_path"):
        load_instance(directory=str(tmp_path))


@pytest.mark.parametrize("name", ["a\nc8y.url=evil.test", "a\x1b[2J", "a\u202eb"])
def test_a_name_that_is_not_printable_is_no_device_id(tmp_path: Path, name: str) -> None:
    (tmp_path / "device-certs").mkdir()
    path = tmp_path / "device-certs" / "tedge-certificate.pem"
    path.write_bytes(make_for(100, name=name).pem)
    (tmp_path / "tedge.toml").write_text('[device]\nid = "other"\n[c8y]\nurl = "right.test"\n')
    instance = load_instance("c8y", directory=str(tmp_path))
    assert device_id(instance.config) is None
    with pytest.raises(ConfigurationError, match=r"certificate\.pem has a common name \(CN\) that is not print"):
        identity(instance)
    listed = run(["tedge-config", "list"], tmp_path)
    assert listed.exit == 0
    assert [each for each in listed.stdout.splitlines() if each.startswith(("device.id", "c8y.url"))] == [
        "c8y.url=right.test"
    ]
    assert run(["tedge-config", "get", "device.id"], tmp_path).stdout == ""
