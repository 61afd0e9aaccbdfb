# SPDX-License-Identifier: Apache-2.0
"""A new private key in a PKCS#11 token (SoftHSM) with a new certificate, and the end of the former one."""

import subprocess
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.device import rotation
from tedge_cert.errors import UnreadableError
from tedge_cert.x509 import hardware_keys
from unit import hardware
from unit.connected import connect, instance_of, key_file, serial_of
from unit.local_device import LocalDevice
from unit.pairs import candidate_key

PIN = "471100"
FILES = {"cert.pem", "device.csr", "key.pem"}


@pytest.fixture
def device(local_device: LocalDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalDevice:
    """A device with a token that holds no key yet."""
    hardware.set_up_token(local_device, tmp_path, monkeypatch, PIN)
    return local_device


def registered(device: LocalDevice, monkeypatch: pytest.MonkeyPatch, words: str = "") -> str:
    """Make a key, register with it, and return its id."""
    assert device.run(f"tedge-hsm create-key {words} c8y").exit == 0
    assert device.register().exit == 0
    hardware.use_provider(device, monkeypatch)
    return named(key_file(device))["id"]


def named(path: Path) -> dict[str, str]:
    found = hardware_keys.attributes_in(path.read_bytes())
    assert found is not None
    return found


def run(device: LocalDevice, words: str, code: int = 0) -> str:
    """Run a command and return what it says."""
    done = device.run(words)
    assert done.exit == code, done.stderr
    return done.stderr


def ids() -> set[str]:
    return {identifier for _, identifier in hardware.private_keys()}


def names_of(device: LocalDevice) -> set[str]:
    return {each.name for each in device.certificate.parent.iterdir()}


def pkcs11_tool(*words: str) -> None:
    by = ["pkcs11-tool", "--module", hardware.MODULE, "--token-label", "gateway", "--login", "--pin", PIN]
    subprocess.run([*by, *words], check=True, capture_output=True)


@pytest.mark.parametrize("kind", ["--curve p384", "--type rsa"])
def test_both_become_active_together(device: LocalDevice, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    first = registered(device, monkeypatch, kind)
    connect(device)
    broker, before = device.broker_pid, key_file(device).read_bytes()
    said = run(device, "tedge-cert-renew c8y --new-key")
    assert f"made a new private key, {candidate_key(device)}" in said
    second = named(candidate_key(device))["id"]
    assert (ids(), key_file(device).read_bytes()) == ({first, second}, before)
    new = serial_of(device.candidate)
    said = run(device, "tedge-cert-verify c8y")
    assert "removed a key that is not used any more from the token: pkcs11:" in said
    assert (serial_of(device.certificate), named(key_file(device))["id"]) == (new, second)
    assert (hardware.private_keys(), names_of(device)) == ([("tedge", second)], FILES)
    assert key_file(device).stat().st_mode & 0o777 == 0o640
    device.tenant.wait_connected(device.device_id, serial=new)
    assert device.broker_pid == broker
    listed = device.run("tedge-hsm list-keys").stdout
    assert ("Type:  RSA" in listed, listed.count("Public key")) == ("rsa" in kind, 1)


def test_settings_do_not_bring_the_former_key_back(device: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewal cannot write settings: device.key_uri names the first key until a person's command follows."""
    first = registered(device, monkeypatch)
    connect(device)
    for _ in range(2):
        run(device, "tedge-cert-renew c8y --new-key")
        run(device, "tedge-reconnect c8y")
    last = key_file(device).read_bytes()
    assert ids() == {named(key_file(device))["id"]}
    run(device, "tedge-reconnect c8y")
    assert key_file(device).read_bytes() == last
    assert first in device.run("tedge-config get c8y.device.key_uri").stdout.replace("%", "").lower()
    key_file(device).unlink()
    assert "names the key in the token: pkcs11:" in run(device, "tedge-reconnect c8y")
    assert key_file(device).read_bytes() == last
    run(device, "tedge-hsm create-key c8y")
    assert (key_file(device).read_bytes(), len(ids())) == (last, 1)
    assert first not in device.run("tedge-config get c8y.device.key_uri").stdout.replace("%", "").lower()
    run(device, "tedge-reconnect c8y")
    assert key_file(device).read_bytes() == last
    # A person chooses another key, and then this one again.
    made = device.run("tedge-config get c8y.device.key_uri").stdout.strip()
    run(device, "tedge-hsm create-key --force-new --label other c8y")
    assert named(key_file(device))["object"] == "other"
    run(device, f"tedge-config set c8y.device.key_uri {made}")
    run(device, "tedge-reconnect c8y")
    assert key_file(device).read_bytes() == last


def test_a_key_that_others_made_stays(device: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named by its label alone, so the new one gets another label."""
    pkcs11_tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "tedge", "--id", "0102")
    run(device, "tedge-config set device.key_uri pkcs11:token=gateway;object=tedge")
    assert device.register().exit == 0
    hardware.use_provider(device, monkeypatch)
    run(device, "tedge-cert-renew c8y --new-key")
    run(device, "tedge-cert-verify c8y")
    new = named(key_file(device))
    theirs, ours = hardware.private_keys()
    assert (theirs, ours) == (("tedge", "0102"), (new["object"], new["id"]))
    assert new["object"].startswith("tedge-")
    run(device, "tedge-cert-create-csr c8y")
    assert named(key_file(device)) == new
    # A person may go back to theirs, by whatever URI.
    run(device, "tedge-config set device.key_uri pkcs11:token=gateway;object=tedge;id=%01%02")
    run(device, "tedge-cert-renew c8y")
    run(device, "tedge-cert-verify c8y")
    assert named(key_file(device))["id"] == "0102"
    run(device, "tedge-config set device.key_uri pkcs11:token=gateway;object=tedge")
    run(device, "tedge-cert-create-csr c8y")
    assert named(key_file(device)) == {"type": "private", "token": "gateway", "object": "tedge"}
    # So may one who registers again.
    pkcs11_tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "third", "--id", "0303")
    run(device, "tedge-cert-renew c8y --new-key")
    run(device, "tedge-cert-verify c8y")
    for name in ("third", "tedge"):
        run(device, f"tedge-config set device.key_uri pkcs11:token=gateway;object={name}")
        assert device.register().exit == 0
        assert named(key_file(device))["object"] == name


@pytest.mark.parametrize("shared", ["profile", "setting"])
def test_a_key_that_is_named_elsewhere_stays(
    device: LocalDevice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared: str
) -> None:
    first = registered(device, monkeypatch)
    if shared == "profile":
        other = tmp_path / "other.pem"
        other.write_bytes(key_file(device).read_bytes())
        setting = f'device.key_path = "{other}"\ndevice.cert_path = "{tmp_path}/other-cert.pem"'
    else:
        setting = 'device.key_uri = "pkcs11:token=gateway;object=tedge;type=private"\ndevice.key_path = "/nowhere"'
    settings = device.directory / "tedge.toml"
    settings.write_text(f'{settings.read_text()}\n[c8y.profiles.p]\nurl = "x.example"\n{setting}\n')
    run(device, "tedge-cert-renew c8y --new-key")
    run(device, "tedge-cert-verify c8y")
    assert ids() == {first, named(key_file(device))["id"]}
    # When nothing names it any more, the next run removes it.
    settings.write_text(settings.read_text().partition("\n[c8y.profiles.p]")[0])
    run(device, "tedge-cert-renew c8y")
    assert ids() == {named(key_file(device))["id"]}


def test_refused_after_the_promotion_the_new_key_goes(device: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    first = registered(device, monkeypatch)
    former = key_file(device).read_bytes()
    run(device, "tedge-cert-renew c8y --new-key")
    second, serial = named(candidate_key(device))["id"], serial_of(device.candidate)
    # As an interrupted run leaves it.
    for path in (device.certificate, key_file(device)):
        path.with_name(f"{path.name}.previous").write_bytes(path.read_bytes())
        path.with_name(f"{path.name}.new").rename(path)
    device.tenant.fault(where="mqtt", do="connack", code=5, serials=[serial])
    run(device, "tedge-cert-renew c8y")
    assert ids() == {first, second}
    assert "the previous certificate is active again" in run(device, "tedge-cert-verify c8y", 3)
    assert (ids(), key_file(device).read_bytes(), names_of(device)) == ({first}, former, FILES)


def test_a_rejected_certificate_leaves_its_key_for_the_next(
    device: LocalDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = registered(device, monkeypatch)
    run(device, "tedge-cert-renew c8y --new-key")
    second = named(candidate_key(device))["id"]
    device.tenant.fault(where="mqtt", do="connack", code=5, serials=[serial_of(device.candidate)])
    run(device, "tedge-cert-verify c8y", 3)
    run(device, "tedge-cert-cleanup c8y")
    assert "the request is made with the candidate key" in run(device, "tedge-cert-renew c8y --new-key")
    assert (named(candidate_key(device))["id"], ids()) == (second, {first, second})
    # Not wanted any more, it goes, and so does its key in the token.
    run(device, "tedge-cert-renew c8y")
    run(device, "tedge-cert-verify c8y")
    assert (ids(), names_of(device)) == ({first}, FILES)


def test_a_key_without_a_file_is_found_again(device: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run was killed between the making of the key and that of the file."""
    first = registered(device, monkeypatch)
    run(device, "tedge-cert-renew c8y --new-key")
    lost = named(candidate_key(device))["id"]
    for path in (candidate_key(device), device.candidate):
        path.unlink()
    # Half of it is enough.
    pkcs11_tool("--delete-object", "--type", "privkey", "--id", lost)
    assert "removed a key that is not used any more" in run(device, "tedge-cert-renew c8y --new-key")
    second = named(candidate_key(device))["id"]
    assert (ids(), lost in device.run("tedge-hsm list-keys").stdout) == ({first, second}, False)
    # One that was made by hand with the id of another is not touched.
    candidate_key(device).unlink()
    for half in ("privkey", "pubkey"):
        pkcs11_tool("--delete-object", "--type", half, "--id", second)
    pkcs11_tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "theirs", "--id", second)
    assert f"another key has the id {second} too" in run(device, "tedge-cert-renew c8y")
    assert ("theirs", second) in hardware.private_keys()


def test_a_wrong_pin_is_tried_once(device: LocalDevice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = registered(device, monkeypatch)
    spied = hardware.counted_logins(tmp_path / "token")
    for name, value in spied.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "pin").write_text("000000\n")
    for _ in range(3):
        assert "token gateway" in run(device, "tedge-cert-renew c8y --new-key", 1)
    assert (hardware.logins(tmp_path / "token"), ids(), names_of(device)) == (1, {first}, FILES)


def test_a_key_that_cannot_be_removed_now_goes_later(
    device: LocalDevice,
    monkeypatch: pytest.MonkeyPatch,
    mocker: MockerFixture,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """No renewal fails for it."""
    first = registered(device, monkeypatch)
    run(device, "tedge-cert-renew c8y --new-key")
    second = named(candidate_key(device))["id"]
    candidate_key(device).unlink()
    mocker.patch("tedge_cert.x509.token.remove_key", side_effect=UnreadableError("the token was removed"))
    rotation.remove_spare(instance_of(device))
    assert "stays in the token until the next renewal: the token was removed" in capsys.readouterr().err
    mocker.stopall()
    # The PIN is not that of the token, where the key in use is in another one now.
    former = key_file(device).read_bytes()
    hardware.bare_token(tmp_path / "token", "220022", "second")
    hardware.token_key(key_file(device), "pkcs11:token=second;object=other;type=private")
    rotation.remove_spare(instance_of(device))
    assert ids() == {first, second}
    key_file(device).write_bytes(former)
    rotation.remove_spare(instance_of(device))
    assert ids() == {first}


def test_a_key_that_is_chosen_by_hand_comes_with_its_certificate(
    device: LocalDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As scripts of thin-edge change a key: a new one in the settings, then renew, then reconnect."""
    first = registered(device, monkeypatch)
    connect(device)
    before, broker = key_file(device).read_bytes(), device.broker_pid
    run(device, "tedge-config set c8y.device.key_uri pkcs11:token=gateway;object=none")
    said = run(device, "tedge-cert-renew c8y", 1)
    assert f"device.key_uri names another key than {key_file(device)}: cannot use" in said
    assert "there is no key pkcs11:object=none in the token (it has pkcs11:" in said
    assert names_of(device) == FILES
    pkcs11_tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "second", "--id", "0202")
    run(device, "tedge-config set c8y.device.key_uri pkcs11:token=gateway;object=second")
    said = run(device, "tedge-reconnect c8y")
    assert "names another key than the settings, pkcs11:token=gateway;object=second, and stays" in said
    assert "`sudo tedge cert renew c8y` gets a certificate for the other one" in said
    run(device, "tedge-cert-create-csr c8y")
    assert key_file(device).read_bytes() == before
    assert "the settings name another private key" in run(device, "tedge-cert-renew c8y")
    new = serial_of(device.candidate)
    run(device, "tedge-reconnect c8y")
    assert (serial_of(device.certificate), named(key_file(device))["object"]) == (new, "second")
    device.tenant.wait_connected(device.device_id, serial=new)
    # The former one stays: the person may go back to it.
    assert (ids(), names_of(device), device.broker_pid) == ({first, "0202"}, FILES, broker)
    assert "names another key" not in run(device, "tedge-reconnect c8y")
    # Another URI of the same key needs no certificate.
    run(device, "tedge-config set c8y.device.key_uri pkcs11:token=gateway;id=%02%02")
    run(device, "tedge-reconnect c8y")
    assert named(key_file(device)) == {"type": "private", "token": "gateway", "id": "0202"}
