# SPDX-License-Identifier: Apache-2.0
"""A private key in a PKCS#11 token (SoftHSM): made, registered, renewed and used for TLS by the commands."""

import json
import os
import re
import subprocess
import time
from argparse import Namespace
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.cli.arguments import Parser
from tedge_cert.commands import hsm, provider_files, root_tasks, token_keys
from tedge_cert.config import token_settings
from tedge_cert.config.keys.table import KEYS
from tedge_cert.config.settings import Config
from tedge_cert.config.token_settings import TokenSettings
from tedge_cert.device import token_key
from tedge_cert.device.instance import load_instance
from tedge_cert.disk import privileges
from tedge_cert.errors import ConfigurationError, TedgeCertError
from tedge_cert.x509 import hardware_keys, provider
from unit import hardware
from unit.certificates import key_pem, new_key
from unit.connected import configure_bridge, connect, instance_of
from unit.local_client import Local
from unit.local_device import LocalDevice

PIN = "471100"
URI = "pkcs11:token=gateway;object=tedge"


@pytest.fixture
def device(local_device: LocalDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalDevice:
    """A device with a token that holds no key yet."""
    hardware.set_up_token(local_device, tmp_path, monkeypatch, PIN)
    return local_device


def key_of(device: LocalDevice) -> Path:
    return device.certificate.with_name("key.pem")


def pin_of(device: LocalDevice) -> Path:
    return Path(load_instance("c8y", "", str(device.directory)).config.need("device.cryptoki.pin_path"))


def files_of(device: LocalDevice) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in device.certificate.parent.iterdir()}


def test_a_device_lives_with_a_key_in_a_token(device: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    made = device.run("tedge-hsm create-key c8y")
    assert made.exit == 0, made.stderr
    assert key_of(device).stat().st_mode & 0o777 == 0o640
    before = key_of(device).read_bytes()
    assert before.startswith(b"-----BEGIN PKCS#11 PROVIDER URI-----\n")
    assert device.run("tedge-config get c8y.device.key_uri").stdout.startswith("pkcs11:model=SoftHSM%20v2;")
    broker = hardware.register_and_renew(device, monkeypatch)
    assert (device.broker_pid, device.run("tedge-connect c8y --test").exit) == (broker, 0)
    assert device.run("tedge-http get /c8y/tenant/currentTenant").exit == 0
    request = device.run("tedge-cert-create-csr c8y")
    assert request.exit == 0, request.stderr
    # Typed again, it takes the key that is there.
    again = device.run("tedge-hsm create-key c8y")
    assert (again.exit, key_of(device).read_bytes()) == (0, before), again.stderr


def test_a_token_that_goes_in_mid_renewal_changes_nothing(device: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.run("tedge-hsm create-key c8y").exit == 0
    assert device.register().exit == 0
    for line in (device.directory / "openssl.env").read_text().splitlines():
        monkeypatch.setenv(*line.split("=", 1))
    connect(device)
    assert device.run("tedge-cert-renew c8y").exit == 0
    before, broker = files_of(device), device.broker_pid
    tokens = Path(os.environ["SOFTHSM2_CONF"]).with_name("tokens")
    tokens.rename(tokens.with_name("gone"))
    tokens.mkdir()
    verified = device.run("tedge-cert-verify c8y")
    assert (verified.exit, "there is no token pkcs11:" in verified.stderr) == (1, True), verified.stderr
    assert (files_of(device), device.broker_pid) == (before, broker)
    device.tenant.wait_connected(device.device_id)
    refused = device.run("tedge-reconnect c8y")
    assert (refused.exit, "there is no token pkcs11:" in refused.stderr) == (1, True)
    # Plugged in again, the next run goes on.
    tokens.rmdir()
    tokens.with_name("gone").rename(tokens)
    again = device.run("tedge-cert-verify c8y")
    assert again.exit == 0, again.stderr
    assert not device.candidate.exists()


def test_mosquitto_gets_no_pin_that_was_refused(device: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.run("tedge-hsm create-key c8y").exit == 0
    assert device.register().exit == 0
    directory = Path(os.environ["SOFTHSM2_CONF"]).parent
    spied = hardware.counted_logins(directory)
    for name, value in spied.items():
        monkeypatch.setenv(name, value)
    assert device.run(f"tedge-config set device.cryptoki.module_path {spied['CRYPTOKI_MODULE']}").exit == 0
    pin_of(device).write_text("000000\n")
    # What the unit of mosquitto runs first: here it says by its code what root's part writes down.
    checked = device.run("tedge-hsm check-pin")
    assert (checked.exit, "mosquitto gets no PIN, and its bridge stays down: cannot use" in checked.stderr) == (3, True)
    assert "is not that of the token gateway" in checked.stderr
    again = device.run("tedge-hsm check-pin")
    assert (again.exit, "is not tried again" in again.stderr) == (3, True)
    for line in (device.directory / "openssl.env").read_text().splitlines():
        monkeypatch.setenv(*line.split("=", 1))
    monkeypatch.setenv("CRYPTOKI_PIN_FILE", f"{directory}/withheld")
    configure_bridge(device, 1)
    device.start_broker()
    # It attempts to connect once and again, and works for local clients.
    with Local(device) as local:
        local.wait_health("0")
    until = time.monotonic() + 30
    while (device.directory / "mosquitto.log").read_text().count("Connecting bridge") < 2:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert hardware.logins(directory) == 1
    monkeypatch.delenv("CRYPTOKI_PIN_FILE")
    status = json.loads(device.run("tedge-cert-status c8y --json").stdout)["instances"][0]
    problem = next(each for each in status["problems"] if "was refused by the token gateway" in each["what"])
    assert (problem["rank"], problem["cure"]) == ("broken", "sudo tedge reconnect c8y")
    pin_of(device).write_text(f"{PIN}\n")
    assert device.run("tedge-hsm check-pin").exit == 0


@pytest.mark.parametrize(
    ("code", "written"),
    [
        (0, "CRYPTOKI_PIN_FILE=/etc/tedge/pin\n"),
        (3, "# The token refused the PIN.\nCRYPTOKI_PIN_FILE={file}.refused\n"),
        (4, "# The token refused the PIN.\nOPENSSL_CONF=/etc/ssl/openssl.cnf\n"),
        (1, None),
    ],
)
def test_root_writes_one_of_these_lines_for_mosquitto(
    code: int, written: str | None, tmp_path: Path, mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PIN is tried by the part that is tedge; root takes its code, and what the start before left is gone."""
    monkeypatch.setenv("CRYPTOKI_PIN_FILE", "/etc/tedge/pin")
    file = tmp_path / "token.env"
    file.write_text("OPENSSL_CONF=/former\n")
    mocker.patch.object(provider_files, "BROKER_ENVIRONMENT", file)
    mocker.patch.multiple(privileges, is_root=lambda: True, split=lambda tasks: code if tasks == {} else None)
    mocker.patch.object(token_keys, "load_config", side_effect=AssertionError("root looked at the key"))
    assert token_keys.check_pin(Namespace(config_dir="")) == 0
    assert (file.read_text() if file.exists() else None) == (written and written.format(file=file))


@pytest.mark.parametrize("command", ["list-tokens", "list-keys", "create-key", "create-key --tpm"])
def test_no_token_is_looked_at_before_root_is_tedge(command: str, mocker: MockerFixture) -> None:
    class Dropped(BaseException):
        pass

    mocker.patch.object(provider_files, "set_up")
    mocker.patch.object(provider_files, "add_to_group")
    mocker.patch("os.geteuid", return_value=0)
    mocker.patch.multiple(privileges, is_root=lambda: True, drop=mocker.Mock(side_effect=Dropped))
    mocker.patch.object(privileges, "keep_groups")
    mocker.patch.object(privileges, "split", side_effect=Dropped)
    mocker.patch.object(root_tasks, "_restore_roots_files")
    ran = mocker.patch("subprocess.run")
    parser = Parser(prog="tedge-hsm")
    hsm.add_to(parser)
    arguments = parser.parse_args(command.split())
    arguments.config_dir = "/etc/tedge"
    with pytest.raises(Dropped):
        hsm.execute(arguments)
    ran.assert_not_called()


def test_the_settings_of_thin_edge_are_taken_over(device: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that thin-edge made, named by device.key_uri, with the PIN in its settings."""
    words = ["pkcs11-tool", "--module", hardware.MODULE, "--token-label", "gateway", "--login", "--pin", PIN]
    words += ["--keypairgen", "--key-type", "EC:prime256v1", "--label", "tedge", "--id", "0102"]
    subprocess.run(words, check=True, capture_output=True)
    assert device.run("tedge-config unset device.cryptoki.pin_path").exit == 0
    (device.directory / "openssl.env").unlink()
    for each in ("device.cryptoki.mode module", "device.key_uri pkcs11:token=gateway;object=tedge"):
        assert device.run(f"tedge-config set {each}").exit == 0
    warned = device.run(f"tedge-config set device.cryptoki.pin {PIN}")
    assert "every user of this device can read device.cryptoki.pin: write the PIN to" in warned.stderr
    pin_file = device.directory / "token-pin"
    assert (pin_file.read_text(), pin_file.stat().st_mode & 0o777) == (f"{PIN}\n", 0o640)
    registered = device.register()
    assert registered.exit == 0, registered.stderr
    assert "names the key in the token: pkcs11:token=gateway;object=tedge" in registered.stderr
    # An editor changed the settings, and OpenSSL's files are not there: the command begins again with them.
    (device.directory / "openssl.env").unlink()
    (device.directory / "openssl.cnf").unlink()
    connected = device.run("tedge-connect c8y")
    assert connected.exit == 0, connected.stderr
    assert f"`sudo tedge config set device.cryptoki.pin_path {pin_file}`" in connected.stderr
    # thin-edge's default is no secret.
    config = instance_of(device).config
    assert token_settings.of(config) == TokenSettings(hardware.MODULE, URI, str(pin_file), PIN, "device.cryptoki.pin")
    assert device.run("tedge-config unset device.cryptoki.pin").exit == 0
    config = instance_of(device).config
    assert token_settings.of(config) == TokenSettings(hardware.MODULE, URI, str(pin_file), "123456", "")
    assert device.run(f"tedge-config set device.cryptoki.pin {PIN}").exit == 0
    # The pin of a profile, or one in a URI, is another file, and never in the file of the key.
    assert (
        device.run("tedge-config set c8y.device.key_uri pkcs11:token=gateway;object=tedge?pin-value=000000").exit == 0
    )
    refused = device.run("tedge-reconnect c8y")
    assert (refused.exit, f"the PIN in {pin_file}-c8y is not that of the token" in refused.stderr) == (1, True)
    named = hardware_keys.attributes_in(key_of(device).read_bytes())
    assert named == {
        "type": "private", "token": "gateway", "object": "tedge", "pin-source": f"file:{pin_file}-c8y"
    }  # fmt: skip


def test_create_key_takes_what_thin_edge_takes(device: LocalDevice, tmp_path: Path) -> None:
    made = device.run(
        f"tedge-cert-create-key-hsm --type rsa --id 01:02:03 --label my-key --outfile-pubkey {tmp_path}/p"
    )
    assert made.exit == 0, made.stderr
    assert "id=%01%02%03;object=my-key" in made.stderr
    assert (tmp_path / "p").read_text() in made.stderr
    assert device.run("tedge-config get device.key_uri").stdout.endswith("id=%01%02%03;object=my-key;type=private\n")
    again = device.run("tedge-hsm create-key --label my-key --id 010203 pkcs11:token=gateway")
    assert (again.exit, "has the key my-key already, which is used" in again.stderr) == (0, True)
    same_id = device.run("tedge-hsm create-key --label other --id 010203")
    assert (same_id.exit, "has a key of the id 010203 already" in same_id.stderr) == (1, True)
    listed = device.run("tedge-hsm list-keys --label my-key").stdout
    assert listed.startswith(
        ("Private key\n  Label: my-key\n  Id:    010203\n  Type:  RSA\n", "Public key\n  Label: my-k")
    )
    assert device.run("tedge-hsm list-keys pkcs11:token=gateway;object=none").stdout == ""
    both = device.run("tedge-hsm list-keys --label x pkcs11:object=y")
    assert (both.exit, "use only one" in both.stderr) == (1, True)
    other = device.run("tedge-hsm create-key --curve p384 --label other")
    assert other.exit == 0, other.stderr
    # Another token: which one is meant has to be said.
    hardware.bare_token(tmp_path / "token", PIN, "second")
    several = device.run("tedge-hsm create-key --label third")
    assert (several.exit, "token=gateway" in several.stderr, "token=second" in several.stderr) == (0, True, False)
    assert device.run("tedge-config unset device.key_uri").exit == 0
    several = device.run("tedge-hsm create-key --label fourth")
    assert (several.exit, "token=gateway" in several.stderr, "token=second" in several.stderr) == (1, True, True)
    tokens = device.run("tedge-hsm list-tokens").stdout
    assert tokens.count("Slot ") == 3
    assert "  Label:        second\n  Initialized:  yes\n  Model:        SoftHSM v2\n" in tokens
    typed = device.run("tedge-hsm create-key --label fifth --pin 000000 pkcs11:token=second")
    assert (typed.exit, "the PIN that was typed is not that of the token second" in typed.stderr) == (1, True)


@pytest.mark.parametrize("how", ["a link", "a second name", "a pipe"])
def test_the_public_key_goes_to_no_other_file(device: LocalDevice, tmp_path: Path, how: str) -> None:
    """It may be named in a directory of tedge's, who would lead root to another file."""
    (tmp_path / "root's").write_text("root's")
    place = tmp_path / "public.pem"
    if how == "a pipe":
        os.mkfifo(place)
    else:
        (place.symlink_to if how == "a link" else place.hardlink_to)(tmp_path / "root's")
    refused = device.run(f"tedge-hsm create-key --outfile-pubkey {place}")
    assert (refused.exit, (tmp_path / "root's").read_text()) == (1, "root's"), refused
    assert f"cannot write {place}: expected a plain file with one name, or none; type another name" in refused.stderr
    assert not key_of(device).exists()


def test_a_key_in_use_is_replaced_only_if_asked_for(device: LocalDevice) -> None:
    key_of(device).write_bytes(key_pem(new_key()))
    before = key_of(device).read_bytes()
    refused = device.run("tedge-hsm create-key c8y")
    assert (refused.exit, "key.pem is another key and is not replaced" in refused.stderr) == (1, True)
    assert "`sudo tedge hsm create-key --force-new c8y`" in refused.stderr
    assert key_of(device).read_bytes() == before
    assert device.run("tedge-config get device.key_uri").exit == 1
    forced = device.run("tedge-hsm create-key --force-new c8y")
    assert forced.exit == 0, forced.stderr
    first = key_of(device).read_bytes()
    # Nothing depends on it yet, and a certificate does.
    assert device.run("tedge-hsm create-key --label other c8y").exit == 0
    created = device.run("tedge-cert-create --device-id gateway-1")
    assert created.exit == 0, created.stderr
    second = key_of(device).read_bytes()
    assert first != second
    other = device.run("tedge-hsm create-key --label tedge --id 77 c8y")
    assert (other.exit, "names another key and is left alone" in other.stderr) == (0, True)
    assert "id=%77;object=tedge;type=private'` uses the new one" in other.stderr
    assert key_of(device).read_bytes() == second
    # One that is gone depends on nothing.
    words = ["pkcs11-tool", "--module", hardware.MODULE, "--token-label", "gateway", "--login", "--pin", PIN]
    for kind in ("privkey", "pubkey"):
        subprocess.run([*words, "--delete-object", "--type", kind, "--label", "other"], check=True, capture_output=True)
    again = device.run("tedge-hsm create-key --label tedge --id 77 c8y")
    assert again.exit == 0, again.stderr
    assert key_of(device).read_bytes() != second


def test_no_setting_replaces_a_key_by_the_name_of_another(device: LocalDevice) -> None:
    assert device.run(f"tedge-config set device.key_uri {URI}").exit == 0
    key_of(device).write_bytes(key_pem(new_key()))
    before = key_of(device).read_bytes()
    with pytest.raises(ConfigurationError, match=r"holds a key, and device\.key_uri names another one in a token"):
        token_key.settle(instance_of(device))
    assert key_of(device).read_bytes() == before
    key_of(device).unlink()
    token_key.settle(instance_of(device))
    assert hardware_keys.kind_in(key_of(device).read_bytes()) == hardware_keys.TOKEN


def test_each_setting_that_is_missing_is_named(local_device: LocalDevice) -> None:
    said = local_device.run("tedge-hsm create-key c8y")
    assert (said.exit, "`sudo tedge config set device.cryptoki.mode module` uses keys" in said.stderr) == (1, True)
    assert local_device.run("tedge-config set device.cryptoki.mode module").exit == 0
    said = local_device.run("tedge-hsm list-tokens")
    assert (said.exit, "no value for device.cryptoki.module_path" in said.stderr) == (1, True)
    assert local_device.run("tedge-config set device.cryptoki.module_path /nowhere.so").exit == 0
    said = local_device.run("tedge-hsm list-tokens")
    assert (said.exit, "there is no PKCS#11 library at /nowhere.so" in said.stderr) == (1, True)
    said = local_device.run("tedge-cert-download c8y --device-id x --one-time-password secret-0815")
    assert (said.exit, "`sudo tedge hsm create-key c8y` makes one in the token" in said.stderr) == (1, True)
    assert sorted(each.name for each in key_of(local_device).parent.iterdir()) == []
    # Switched off again, OpenSSL is as it was.
    assert (local_device.directory / "openssl.cnf").exists()
    assert local_device.run("tedge-config set device.cryptoki.mode off").exit == 0
    assert not (local_device.directory / "openssl.cnf").exists()


@pytest.mark.parametrize("text", ["/lib/x.so\nactivate = 1", "/lib/$ENV::X", "/lib/x #", "lib.so", "/a b"])
def test_no_line_comes_in_by_a_path(text: str) -> None:
    for name in ("device.cryptoki.module_path", "device.cryptoki.pin_path"):
        with pytest.raises(ValueError, match="expected"):
            KEYS[name].parse(text)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's files are root's")
def test_no_file_names_what_others_can_write(device: LocalDevice, mocker: MockerFixture) -> None:
    """Neither a PIN nor a library: the directory of the tests lies below /tmp, or one like it."""
    # The configuration, which lies there too, is looked at in the same way.
    real = provider.written_by_others
    mocker.patch.object(provider, "written_by_others", lambda path: "" if path.endswith(".cnf") else real(path))
    mocker.patch.object(Config, "is_of_system", new_callable=mocker.PropertyMock, return_value=True)
    files = [device.directory / each for each in ("openssl.cnf", "openssl.env")]
    shared = next(each for each in reversed(pin_of(device).parents) if each.stat().st_mode & 0o002)
    said = f"{pin_of(device)} is not used as the PIN, because others than root can write {shared}"
    for module in (hardware.MODULE, f"{device.directory}/token.so"):
        assert device.run(f"tedge-config set device.cryptoki.module_path {module}").exit == 0
        before = [each.read_bytes() for each in files]
        with pytest.raises(TedgeCertError, match=re.escape(said)):
            provider_files.update_openssl(instance_of(device).config)
        assert [each.read_bytes() for each in files] == before
        said = f"{device.directory}/token.so is not loaded as the PKCS#11 library"


@pytest.mark.parametrize(
    ("setting", "uri"),
    [
        ("c8y.url", "pkcs11:token=gateway"),
        ("device.key_uri", "pkcs11:token=gateway?pin-source=file:/etc/shadow"),
        ("device.key_uri", "pkcs11:token=gateway?module-path=/tmp/theirs.so"),
        ("device.key_uri", "tenant.test"),
    ],
)
def test_root_stores_only_the_uri_of_a_key(local_device: LocalDevice, setting: str, uri: str) -> None:
    before = (local_device.directory / "tedge.toml").read_bytes()
    instance = load_instance("c8y", "", str(local_device.directory))
    with pytest.raises(ValueError, match="expected"):
        root_tasks._set_key_uri(lambda: instance, setting, uri)
    assert (local_device.directory / "tedge.toml").read_bytes() == before


def test_the_units_get_what_the_token_needs(device: LocalDevice) -> None:
    instance = load_instance("c8y", "", str(device.directory))
    found = token_settings.of(instance.config)
    assert found is not None
    texts = provider_files._of_token(instance, found)
    assert {str(path.relative_to("/etc/systemd/system")): lines_of(text) for path, text in texts.items()} == {
        "mosquitto.service.d/53-token.conf": [
            "[Service]",
            f"EnvironmentFile=-{device.directory}/openssl.env",
            "ExecStartPre=-+/usr/bin/env --unset=CRYPTOKI_PIN_FILE --unset=OPENSSL_CONF /usr/bin/tedge-hsm check-pin",
            "EnvironmentFile=-/run/tedge-token.env",
        ],
        **{
            f"{unit}.service.d/53-token.conf": ["[Service]", "ReadWritePaths=-/var/lib/softhsm/tokens"]
            for unit in ("tedge-cert-renewer@c8y", "tedge-cert-download@c8y")
        },
    }  # fmt: skip


def lines_of(text: str) -> list[str]:
    return [each for each in text.splitlines() if not each.startswith("#")]


@pytest.mark.parametrize("where", ["typed", "setting"])
def test_a_slot_that_is_not_there_is_named(device: LocalDevice, where: str) -> None:
    """A slot has another number at the next boot."""
    uri = "pkcs11:slot-id=99;object=tedge"
    if where == "setting":
        assert device.run(f"tedge-config set device.key_uri {uri}").exit == 0
        said = device.run("tedge-cert-create --device-id gateway-1")
    else:
        said = device.run(f"tedge-hsm create-key c8y {uri}")
    assert (said.exit, "there is no token pkcs11:slot-id=99 (user " in said.stderr) == (1, True), said.stderr
    assert "token=gateway); plug it in" in said.stderr
    assert not device.certificate.exists()


def test_a_profile_with_a_token_and_a_pin_of_its_own(device: LocalDevice, tmp_path: Path) -> None:
    hardware.bare_token(tmp_path / "token", "220022", "second")
    directory = device.certificate.parent
    settings = device.directory / "tedge.toml"
    settings.write_text(
        f'{settings.read_text()}\n[c8y.profiles.p]\nurl = "p.example"\n'
        f'device.cert_path = "{directory}/p.pem"\ndevice.key_path = "{directory}/p-key.pem"\n'
        f'device.csr_path = "{directory}/p.csr"\ndevice.key_pin = "220022"\n'
    )
    made = device.run("tedge-hsm create-key c8y pkcs11:token=second --profile p")
    assert made.exit == 0, made.stderr
    assert device.run("tedge-hsm create-key c8y pkcs11:token=gateway").exit == 0
    pin_file = device.directory / "token-pin-c8y@p"
    assert (pin_file.read_text(), pin_file.stat().st_mode & 0o777) == ("220022\n", 0o640)
    for words in ("create c8y --profile p --device-id gateway-p", "renew c8y --profile p --ca self-signed --new-key"):
        done = device.run(f"tedge-cert-{words}")
        assert done.exit == 0, done.stderr
    for name in ("p-key.pem", "p-key.pem.new"):
        attributes = hardware_keys.attributes_in((directory / name).read_bytes()) or {}
        assert (attributes["token"], attributes["pin-source"]) == ("second", f"file:{pin_file}")
    assert [len(hardware.private_keys(*each)) for each in (("second", "220022"), ("gateway", PIN))] == [2, 1]
