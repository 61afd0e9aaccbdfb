# SPDX-License-Identifier: Apache-2.0
"""The PIN of a real token (SoftHSM): how often it is tried, and what is said when it cannot be used."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert import processes
from tedge_cert.config import token_uri
from tedge_cert.errors import TedgeCertError, UnreadableError
from tedge_cert.net.anchors import Trust
from tedge_cert.x509 import hardware_keys, keys, pin_guard, provider, token
from tedge_cert.x509.client_identity import client_context
from tedge_cert.x509.token import PinRefusedError, Token
from unit import hardware
from unit.certificates import make

PIN = "471100"


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a key in a token, of which each login is counted."""
    for name, value in {
        **hardware.software_token(tmp_path, PIN, ("EC",)), **hardware.counted_logins(tmp_path)
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(provider, "_directory", str(tmp_path))
    hardware.token_key(tmp_path / "key.pem", "pkcs11:token=gateway;object=EC;type=private")
    next_hour()
    return tmp_path / "key.pem"


def next_hour() -> None:
    """What a new process knows."""
    hardware_keys._unlocked.clear()


def set_pin(key_file: Path, pin: str) -> None:
    key_file.with_name("pin").write_text(pin + "\n")
    next_hour()


def logins(key_file: Path) -> int:
    return hardware.logins(key_file.parent)


def use(key_file: Path) -> str:
    """Use the key by openssl and by TLS, as the steps do; return what is wrong."""
    said = []
    certificate = key_file.with_name("cert.pem")
    certificate.write_bytes(make().pem)
    for way in (lambda: keys.load(key_file), lambda: client_context(Trust(certificate, "x"), certificate, key_file)):
        try:
            way()
        except TedgeCertError as error:
            said.append(str(error))
    return " / ".join(said)


def test_a_wrong_pin_is_tried_once_in_a_day(key_file: Path) -> None:
    set_pin(key_file, "000000")
    said = use(key_file)
    assert f"the PIN in {key_file.with_name('pin')} is not that of the token gateway" in said
    for _ in range(23):
        next_hour()
        with pytest.raises(PinRefusedError, match="was refused by the token gateway and is not tried again"):
            keys.load(key_file)
    assert logins(key_file) == 1
    # A second wrong one is another try, and the right one ends it.
    set_pin(key_file, "000001")
    assert "is not that of the token gateway" in use(key_file)
    assert logins(key_file) == 2
    set_pin(key_file, PIN)
    assert keys.load(key_file)
    assert hardware_keys.attributes_in(key_file.read_bytes()) is not None
    record = key_file.parent / "state" / "token-pins"
    assert record.stat().st_mode & 0o777 == 0o600
    assert not any(pin in record.read_text() for pin in (PIN, "000000", "000001"))


def test_a_right_pin_that_becomes_wrong_is_tried_once(key_file: Path) -> None:
    keys.load(key_file)
    before = logins(key_file)
    words = ["pkcs11-tool", "--module", hardware.MODULE, "--token-label", "gateway", "--login", "--pin", PIN]
    subprocess.run([*words, "--change-pin", "--new-pin", "222222"], check=True, capture_output=True)
    for _ in range(3):
        next_hour()
        use(key_file)
    assert logins(key_file) == before + 1


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        (token.LOCKED, "the PIN of the token gateway is locked; its security officer unlocks it"),
        (token.FINAL_TRY, "a wrong PIN would lock the token gateway: one try is left, which a person should make"),
    ],
)
def test_a_token_near_its_lock_is_left_alone(key_file: Path, flag: str, said: str) -> None:
    attributes = {"token": "gateway"}
    found = Token("0x1", "gateway", flags=frozenset({"token initialized", "login required", flag}))
    with pytest.raises(PinRefusedError, match=said):
        pin_guard.keys(hardware.MODULE, found, attributes)
    assert logins(key_file) == 0


def test_without_memory_no_pin_is_tried(key_file: Path) -> None:
    (key_file.parent / "state").write_text("in the way")
    assert "no PIN is tried" in use(key_file) or "so none is tried" in use(key_file)
    assert logins(key_file) == 0


def remove_token(key_file: Path) -> None:
    tokens = key_file.parent / "tokens"
    tokens.rename(tokens.with_name("gone"))
    tokens.mkdir()


def make_pipe(key_file: Path) -> None:
    """OpenSSL would wait for it without end."""
    os.mkfifo(key_file.with_name("library.so"))
    os.environ[provider.MODULE] = str(key_file.with_name("library.so"))


def make_second_key(key_file: Path) -> None:
    words = ["pkcs11-tool", "--module", hardware.MODULE, "--token-label", "gateway", "--login", "--pin", PIN]
    make_one = [*words, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "EC", "--id", "77"]
    subprocess.run(make_one, check=True, capture_output=True)


def make_second_token(key_file: Path) -> None:
    hardware.bare_token(key_file.parent, PIN)


def remove_public_half(key_file: Path) -> None:
    words = ["pkcs11-tool", "--module", hardware.MODULE, "--token-label", "gateway", "--login", "--pin", PIN]
    subprocess.run([*words, "--delete-object", "--type", "pubkey", "--id", "01"], check=True, capture_output=True)


def test_a_try_that_was_cut_off_counts(key_file: Path, mocker: MockerFixture) -> None:
    """Killed in each hour before the token has answered, it would lock the token."""
    cut_off = mocker.patch.object(token, "keys", side_effect=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        keys.load(key_file)
    mocker.stop(cut_off)
    next_hour()
    assert use(key_file).count("is not tried again") == 2
    assert logins(key_file) == 0


def test_tls_tries_a_wrong_pin_once(key_file: Path) -> None:
    """OpenSSL would try it five times."""
    set_pin(key_file, "000000")
    certificate = key_file.with_name("cert.pem")
    certificate.write_bytes(make().pem)
    with pytest.raises(PinRefusedError, match="is not that of the token gateway"):
        client_context(Trust(certificate, "x"), certificate, key_file)
    assert logins(key_file) == 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda _: os.environ.update({provider.MODULE: "/nowhere.so"}), "there is no PKCS#11 library at /nowhere.so"),
        (
            lambda key_file: os.environ.update({provider.MODULE: str(key_file)}),
            "key.pem cannot be loaded as a PKCS#11 library",
        ),
        (make_pipe, "library.so is no file; expected a PKCS#11 library: install its package, or `sudo tedge"),
        (remove_token, "there is no token pkcs11:token=gateway"),
        (make_second_token, "2 tokens are meant by pkcs11:token=gateway: .*; name one with its serial"),
        (make_second_key, "2 keys in the token are meant by pkcs11:object=EC .id .. and id .*; name one of them"),
        (remove_public_half, "the token has only the private half of pkcs11:object=EC"),
        (lambda key_file: key_file.with_name("pin").unlink(), "cannot read the PIN in .*: No such file"),
        (lambda key_file: key_file.with_name("pin").write_text(""), "holds no PIN; expected one line"),
    ],
    ids=[
        "no library", "no library for tokens", "a pipe", "no token", "two tokens", "two keys", "half a key", "no PIN",
        "empty",
    ],
)  # fmt: skip
def test_each_cause_has_a_name(
    key_file: Path, fault: Callable[[Path], object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # monkeypatch restores what the fault changes.
    monkeypatch.setenv(provider.MODULE, os.environ[provider.MODULE])
    fault(key_file)
    with pytest.raises(UnreadableError, match=f"cannot use the private key {key_file}: .*({said})"):
        keys.load(key_file)


def test_only_the_files_of_a_token_are_opened_to_its_group(key_file: Path, tmp_path: Path) -> None:
    """Members of the group may put links there, and root runs this in a trial."""
    (tmp_path / "etc").mkdir()
    others = [tmp_path / "etc" / each for each in ("shadow", "linked")]
    for each in others:
        each.write_text("root's")
        each.chmod(0o600)
    slot = next((tmp_path / "tokens").iterdir())
    (slot / "one.object").symlink_to(others[0])
    (slot / "two.object").hardlink_to(others[1])
    (slot.parent / "slot").symlink_to(tmp_path / "etc")
    ours = next(slot.glob("*-*.object"))
    ours.chmod(0o600)
    token.make_key(hardware.MODULE, token.tokens(hardware.MODULE)[0], PIN, "p256", "tedge", "77")
    assert [each.stat().st_mode & 0o777 for each in (*others, ours)] == [0o600, 0o600, 0o660]


def test_a_library_that_crashes_is_named(key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pkcs11-tool").write_text("#!/bin/sh\nkill -SEGV $$\n")
    (tmp_path / "pkcs11-tool").chmod(0o755)
    monkeypatch.setattr(processes, "PATH", f"{tmp_path}:{processes.PATH}")
    monkeypatch.setenv("PATH", processes.PATH)
    with pytest.raises(UnreadableError, match=r"the PKCS#11 library .* crashed \(signal 11\)"):
        keys.load(key_file)


def test_a_token_that_goes_in_between_is_named(key_file: Path) -> None:
    key = keys.load(key_file)
    assert isinstance(key, hardware_keys.HardwareKey)
    remove_token(key_file)
    with pytest.raises(UnreadableError, match="there is no token pkcs11:token=gateway"):
        key.sign(b"x")
    certificate = key_file.with_name("cert.pem")
    certificate.write_bytes(make().pem)
    with pytest.raises(UnreadableError, match="there is no token pkcs11:token=gateway"):
        client_context(Trust(certificate, "x"), certificate, key_file)


@pytest.mark.parametrize(
    "text",
    ["pkcs11:token=a b", "pkcs12:token=x", "pkcs11:colour=red", "pkcs11:token=x;token=y", "pkcs11:token=x\n", "x"],
)
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="URI"):
        token_uri.parse(text)


def test_a_uri_comes_back_from_its_file() -> None:
    attributes = {"token": "Gate way/ü;", "id": "0102ff", "object": "k" * 200, "pin-source": "file:/etc/tedge/pin"}
    uri = token_uri.text_of(attributes)
    assert token_uri.parse(uri) == attributes
    assert hardware_keys.attributes_in(token_uri.pem_of(uri)) == attributes


def test_a_token_without_login_gets_no_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """p11-kit's trust module is such a token, and has no keys."""
    trust = next(Path("/usr/lib").glob("*/pkcs11/p11-kit-trust.so"), None)
    if trust is None:
        pytest.skip("p11-kit-modules is not installed")
    monkeypatch.setattr(provider, "_directory", str(tmp_path))
    found = token.tokens(str(trust))
    assert not any(each.needs_login for each in found)
    assert pin_guard.keys(str(trust), found[0], {"pin-source": "file:/nowhere"}) == []
