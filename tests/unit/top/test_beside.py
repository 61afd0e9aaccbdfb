# SPDX-License-Identifier: Apache-2.0
"""Beside thin-edge: whose user commands become, how commands are typed, and where the private key comes from."""

import contextlib
import os
import re
import runpy
import sys
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert import beside, cures
from tedge_cert.cli import entry
from tedge_cert.cli.executables import parser_of
from tedge_cert.config import no_effect
from tedge_cert.config import settings as configuration
from tedge_cert.device import handed_key
from tedge_cert.disk import files, privileges
from tedge_cert.errors import CertificateError, ConfigurationError, TedgeCertError
from tedge_cert.status import verdict
from tedge_cert.status.facts import BridgeFacts, KeyFacts
from tedge_cert.status.text import text_of
from tedge_cert.steps import needs_renewal
from tedge_cert.x509 import keys
from tedge_cert.x509.certificate import load
from unit.certificates import key_pem, new_key
from unit.children import BIN
from unit.connected import certify, configure, hurry, instance_of, issue, key_file, serials
from unit.disk.test_privileges import ROOT as AS_ROOT
from unit.disk.test_privileges import in_child
from unit.local_device import LocalDevice
from unit.mapper_device import BRIDGE_FILE
from unit.statuses import certificate, facts, units
from unit.switching import verify

# What thin-edge's `tedge` has of what messages name.
THEIRS = re.compile(
    r"tedge (cert (download|upload|create|remove)|connect|reconnect|disconnect|config (get|set|unset|list|upgrade))\b"
)


@pytest.fixture
def mark(mocker: MockerFixture, tmp_path: Path) -> Path:
    """The file of the package, which is there."""
    file = tmp_path / "beside"
    file.touch()
    mocker.patch.object(beside, "MARK", str(file))
    return file


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        ("tedge cert status", "tedge-cert-status"),
        ("tedge cert verify c8y --profile p", "tedge-cert-verify c8y --profile p"),
        ("sudo tedge cert renew c8y", "sudo tedge-cert-renew c8y"),
        ("tedge cert download c8y", "tedge cert download c8y"),
        ("tedge connect c8y --test", "tedge connect c8y --test"),
    ],
)
def test_commands_of_ours_have_names_of_their_own(mark: Path, command: str, typed: str) -> None:
    assert beside.typed(command) == typed
    mark.unlink()
    assert beside.typed(command) == command


@pytest.mark.usefixtures("mark")
def test_every_cure_exists_there() -> None:
    """Ours are executables of the package, the others commands of thin-edge."""
    mapper = "tedge-mapper-c8y.service"
    states = [
        facts(is_beside=True, previous=certificate()),
        facts(is_beside=True, candidate=certificate(written_s=1)),
        facts(is_beside=True, host=""),
        facts(is_beside=True, certificate=certificate(not_after_s=1)),
        facts(is_beside=True, certificate=certificate(fault="it", is_hidden=True)),
        facts(is_beside=True, certificate=certificate(fault="it", is_hidden=True), is_other_user=True),
        facts(is_beside=True, key=KeyFacts("key", False)),
        facts(is_beside=True, units=units(is_active=False)),
        facts(is_beside=True, units=units(is_installed=False)),
        facts(is_beside=True, bridge=BridgeFacts(False)),
        facts(is_beside=True, bridge=BridgeFacts(True, is_up=False, mapper=mapper)),
        facts(is_beside=True, bridge=BridgeFacts(True, is_up=True, mapper=mapper, uses_former=True)),
    ]
    typed = [each.cure for state in states for each in verdict.problems(state)]
    typed += [cures.finish(), cures.command("cert renew"), cures.register("device-1"), cures.owners()]
    ours = {each.name for each in BIN.iterdir()}
    for command in re.findall(r"\btedge[- ][^`&]*", "\n".join(typed)):
        words = command.split()[0]
        assert words in ours or THEIRS.match(command) or words.startswith(("tedge-cert-renewer", "tedge-mapper")), (
            command
        )
    assert "sudo tedge-cert-verify c8y" in typed
    assert f"sudo systemctl restart {mapper}" in typed


@pytest.mark.usefixtures("mark")
def test_a_timer_that_the_mapper_wants_is_not_enabled() -> None:
    found = facts(is_beside=True, units=units(is_enabled=False))
    assert verdict.problems(found) == []
    assert "started with the mapper, active, next run" in text_of(found, [])
    assert verdict.problems(facts(units=units(is_enabled=False))) != []


@AS_ROOT
@pytest.mark.usefixtures("mark")
@pytest.mark.parametrize(
    ("user", "cures"), [("tedge", ["sudo systemctl edit tedge-cert-renewer@c8y.service"]), ("gateway", [])]
)
def test_a_renewal_as_another_user_than_thin_edge_s_is_told(user: str, cures: list[str]) -> None:
    found = facts(is_beside=True, settings_user="gateway", units=units(user=user))
    assert [each.cure for each in verdict.problems(found)] == cures


@pytest.mark.usefixtures("mark")
def test_root_becomes_the_owner_of_the_settings(mocker: MockerFixture, tmp_path: Path) -> None:
    """What that user writes into system.toml names nobody else."""
    settings = tmp_path / "tedge"
    settings.mkdir()
    (settings / "system.toml").write_text('user = "root"\n')
    os.chown(settings, 1, 1)
    mocker.patch.object(beside, "DIRECTORY", str(settings))
    mocker.patch.multiple(privileges, GROUP="mail", RUN_DIRECTORY=str(tmp_path / "run"))

    def work() -> object:
        privileges.drop()
        return [os.getresuid(), os.getgroups() == [os.getgid()]]

    assert in_child(work) == [[1, 1, 1], True]
    mocker.patch.object(privileges, "GROUP", "no-mosquitto-here")
    assert privileges.accounts() == ("daemon", "daemon")


@AS_ROOT
@pytest.mark.usefixtures("mark")
@pytest.mark.parametrize("name", ["tedge-cert-status", "tedge-cert-verify", "tedge-cert-renew", "tedge-cert-show"])
def test_root_reads_no_setting(mocker: MockerFixture, tmp_path: Path, name: str) -> None:
    """User tedge writes the settings there: a link could lead to any file."""
    settings = tmp_path / "tedge"
    settings.mkdir()
    os.chown(settings, 1, 1)
    mocker.patch.object(beside, "DIRECTORY", str(settings))
    mocker.patch.object(entry, "SYSTEM_DIRECTORY", str(settings))
    mocker.patch.multiple(privileges, GROUP="mail", RUN_DIRECTORY=str(tmp_path / "run"))
    readers: list[int] = []

    def read(*_: object) -> object:
        readers.append(os.geteuid())
        raise ConfigurationError("enough was seen")

    mocker.patch.object(configuration, "load", read)
    mocker.patch.object(sys, "argv", [name, "--config-dir", str(settings)])
    main = runpy.run_path(str(BIN / name), run_name="recipe")["main"]

    def work() -> object:
        with contextlib.suppress(TedgeCertError):
            main()
        return readers

    assert in_child(work) == [1]


@pytest.mark.usefixtures("mark")
def test_the_help_names_what_is_typed() -> None:
    parser = parser_of(BIN / "tedge-cert-verify")
    assert parser.prog == "tedge-cert-verify"
    assert "sudo tedge-cert-verify c8y" in parser.format_help()


@AS_ROOT
@pytest.mark.usefixtures("mark")
def test_root_does_not_go_on_without_that_user(mocker: MockerFixture, tmp_path: Path) -> None:
    mocker.patch.object(beside, "user", return_value="nobody-of-that-name")
    with pytest.raises(TedgeCertError, match="there is no user nobody-of-that-name"):
        privileges.drop()


def test_the_key_is_the_one_that_systemd_hands_over(
    local_device: LocalDevice, mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file belongs to mosquitto there."""
    hurry(mocker)
    certify(local_device)
    new = issue(local_device)
    handed = tmp_path / "credentials" / "tedge.key"
    handed.parent.mkdir()
    key_file(local_device).rename(handed)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed.parent))
    assert instance_of(local_device).key == handed
    assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
    handed.write_text("none\n")
    assert instance_of(local_device).key == key_file(local_device)


def test_systemd_hands_over_the_key_only_where_it_is_needed(local_device: LocalDevice, mark: Path) -> None:
    """Each run that is due says by a link whether its user can read the key."""
    certify(local_device, days=3)
    said = instance_of(local_device).run_directory / "key-is-readable"
    unit = needs_renewal.Question()
    unit.cloud, unit.config_dir, unit.systemd = "c8y", str(local_device.directory), True
    assert (needs_renewal.full_check(unit), said.is_symlink()) == (0, True)
    key, away = key_file(local_device), local_device.directory / "away.pem"
    key.rename(away)
    for _ in range(2):
        assert (needs_renewal.full_check(unit), said.is_symlink()) == (0, False)
    away.rename(key)
    mark.unlink()
    assert (needs_renewal.full_check(unit), said.is_symlink()) == (0, False)


@pytest.mark.usefixtures("mark")
def test_a_renewal_goes_on_where_it_cannot_say_that_it_reads_the_key(
    local_device: LocalDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    certify(local_device, days=3)
    said = instance_of(local_device).run_directory / "key-is-readable"
    said.mkdir(parents=True)
    handed_key.announce(key_file(local_device).with_name("no-key.pem"), said.parent)
    assert f"cannot say in {said} whether this run needs the key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("owner", "words", "wanted"),
    [
        ("", "c8y", "`sudo systemctl start tedge-cert-renewer@c8y.service`"),
        ("mosquitto", "c8y", "`sudo systemctl edit tedge-cert-renewer-key@.service` names the file"),
        (
            "mosquitto",
            "c8y --profile p",
            "`sudo chmod 0440 {path}`, and SupplementaryGroups=mosquitto by `sudo systemctl edit "
            "tedge-cert-renewer-c8y@p.service`",
        ),
        ("gateway", "c8y", "belongs to gateway: `sudo systemctl edit tedge-cert-renewer@c8y.service` sets User="),
    ],
)
@pytest.mark.usefixtures("mark")
def test_a_key_that_cannot_be_read(
    mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owner: str, words: str, wanted: str
) -> None:
    path = tmp_path / "key.pem"
    mocker.patch.object(files, "read_regular", side_effect=PermissionError(13, "Permission denied", str(path)))
    mocker.patch.object(cures, "_owner_of", return_value=owner)
    mocker.patch.object(cures, "_words", words)
    if owner:
        monkeypatch.setenv("INVOCATION_ID", "1")
    with pytest.raises(CertificateError) as raised:
        keys.load(path)
    assert wanted.format(path=path) in str(raised.value)


@pytest.mark.usefixtures("mark")
def test_the_key_of_another_instance_that_systemd_hands_over(
    local_device: LocalDevice, mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is that of the default profile; the line names what gives a profile its own."""
    certify(local_device)
    handed = tmp_path / "credentials" / "tedge.key"
    handed.parent.mkdir()
    handed.write_bytes(key_pem(new_key()))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed.parent))
    mocker.patch.object(cures, "_words", "c8y --profile p")
    mocker.patch.object(cures, "_pair", ("", "c8y.profiles.p.device.key_path"))
    with pytest.raises(CertificateError, match=r"`sudo chmod 0440 FILE`, the value of `c8y.profiles.p.device.key_path"):
        keys.load_for(handed, load(local_device.certificate), local_device.certificate)


@pytest.mark.usefixtures("mark")
def test_a_key_in_hardware_is_left_to_thin_edge(local_device: LocalDevice) -> None:
    configure(local_device, "[device]", '[device]\nkey_uri = "pkcs11:token=t"')
    with pytest.raises(ConfigurationError, match=r"apt remove tedge-cert-renewer-beside.*gives thin-edge its own"):
        no_effect.refuse_key_in_hardware(instance_of(local_device).config)


@pytest.mark.usefixtures("mark")
def test_settings_of_thin_edge_s_user_are_taken_as_they_are(local_device: LocalDevice) -> None:
    mappers = local_device.directory / "mappers" / "c8y"
    mappers.mkdir(parents=True)
    main = local_device.directory / "tedge.toml"
    text = main.read_text()
    cloud = text[text.index("[c8y]\n") + 6 : text.index("[mqtt.bind]")]
    (mappers / "mapper.toml").write_text(f'cloud_type = "c8y"\n{cloud}')
    main.write_text(f'[config]\nversion = "2"\n{text.replace(cloud, "").replace("[c8y]", "")}')
    for each in (main, mappers / "mapper.toml"):
        each.chmod(0o664)
    certify(local_device)
    instance_of(local_device).bridge_file.write_text(BRIDGE_FILE)
    new = issue(local_device)
    code, said = verify(local_device)
    assert (code, serials(local_device)[1]) == (1, new)
    assert "tedge-mapper-c8y.service is watched" in said
