# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's configuration for a key in hardware: who is believed, and what is taken from it."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert import processes
from tedge_cert.errors import UnreadableError
from tedge_cert.x509 import keys, provider
from unit import hardware


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is set up for a key in the TPM."""
    for name in (*provider.VARIABLES, "LD_PRELOAD"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / "openssl.cnf").write_text(provider.configuration_text(False, True, ""))
    text = provider.environment_text(str(tmp_path), "tabrmd", "", "") + "LD_PRELOAD=/tmp/theirs.so\n"
    (tmp_path / "openssl.env").write_text(text)
    return tmp_path


def test_its_variables_are_taken_and_no_other(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSS2_LOG", "all+error")
    assert provider.enable(str(directory)) == ("tss",)
    assert {name: os.environ.get(name) for name in (*provider.VARIABLES, "LD_PRELOAD")} == {
        "OPENSSL_CONF": f"{directory}/openssl.cnf", "TPM2OPENSSL_TCTI": "tabrmd", "TSS2_LOG": "all+error",
        "LD_PRELOAD": None, "CRYPTOKI_MODULE": None, "CRYPTOKI_PIN_FILE": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("module", "groups"),
    [
        ("/usr/lib/softhsm/libsofthsm2.so", ("softhsm",)),
        ("/usr/lib/libtpm2_pkcs11.so", ("tss",)),
        ("/usr/lib/x.so", ()),
    ],
)
def test_only_the_group_of_the_hardware_is_wanted(directory: Path, module: str, groups: tuple[str, ...]) -> None:
    (directory / "openssl.env").write_text(f"OPENSSL_CONF={directory}/openssl.cnf\nCRYPTOKI_MODULE={module}\n")
    assert provider.enable(str(directory)) == groups


def test_a_command_without_a_key_takes_none(directory: Path) -> None:
    assert provider.enable(str(directory), uses_key=False) == ()
    assert "OPENSSL_CONF" not in os.environ
    assert provider.state_directory() == f"{directory}/state"


def test_without_the_file_nothing_changes(tmp_path: Path) -> None:
    before = dict(os.environ)
    assert (provider.enable(str(tmp_path)), dict(os.environ)) == ((), before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(
    ("name", "how"),
    [
        *((name, how) for name in ("", "openssl.env", "openssl.cnf") for how in ("another user's", "group-writable")),
        ("openssl.env", "a link"),
        ("openssl.cnf", "a link"),
    ],
)
def test_what_another_user_can_write_loads_no_library(directory: Path, name: str, how: str) -> None:
    path = directory / name
    if how == "another user's":
        os.chown(path, 1, 1)
    elif how == "group-writable":
        path.chmod(0o775)
    else:
        path.symlink_to(path.rename(path.with_suffix(".real")))
    assert provider.enable(str(directory)) == ()
    assert "OPENSSL_CONF" not in os.environ


@pytest.mark.parametrize("is_root", [True, False])
def test_root_hands_the_pin_over(
    is_root: bool, directory: Path, monkeypatch: pytest.MonkeyPatch, mocker: MockerFixture
) -> None:
    """A credential is root's in a unit of root; a command of root goes on as tedge, and so do its children."""
    if not is_root and os.geteuid() == 0:
        mocker.patch.object(provider, "is_believed", return_value=True)
    mocker.patch("os.geteuid", return_value=0 if is_root else 1)
    (directory / "tedge.token-pin").write_text("4711\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    provider.enable(str(directory))
    said = os.environ["CRYPTOKI_PIN_FILE"]
    assert said.startswith("/proc/self/fd/") if is_root else said == f"{directory}/tedge.token-pin"
    assert provider.pin_file() == f"{directory}/tedge.token-pin"
    done = processes.pipe(["cat", said], b"", {"CRYPTOKI_PIN_FILE": said})
    assert done.stdout == b"4711\n"


@pytest.fixture
def of_root() -> Iterator[Path]:
    """A directory that only root can write, as every one above it, with a library and a directory of tedge's."""
    with tempfile.TemporaryDirectory(dir="/run") as made:
        directory = Path(made)
        directory.chmod(0o755)
        for each in ("lib", "theirs"):
            (directory / each).mkdir()
            (directory / each / "token.so").write_bytes(b"")
        for each in ("theirs/token.so", "theirs"):
            os.chown(directory / each, 1, 1)
        yield directory


def a_link_of_another(directory: Path) -> None:
    (directory / "link.so").symlink_to("lib/token.so")
    os.chown(directory / "link.so", 1, 1, follow_symlinks=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(
    ("name", "make", "part"),
    [
        ("lib/token.so", lambda _: None, ""),
        ("lib/none.so", lambda _: None, ""),
        ("link.so", lambda at: (at / "link.so").symlink_to("lib/../lib/token.so"), ""),
        ("lib64/token.so", lambda at: (at / "lib64").symlink_to(at / "lib"), ""),
        ("theirs/token.so", lambda _: None, "theirs"),
        ("lib/token.so", lambda at: os.chown(at / "lib" / "token.so", 1, 0), "lib/token.so"),
        ("lib/token.so", lambda at: (at / "lib" / "token.so").chmod(0o664), "lib/token.so"),
        ("lib/none.so", lambda at: (at / "lib").chmod(0o1777), "lib"),
        ("link.so", a_link_of_another, "link.so"),
        ("link.so", lambda at: (at / "link.so").symlink_to(at / "theirs" / "token.so"), "theirs"),
        ("link.so", lambda at: (at / "link.so").symlink_to("lib/../theirs/none.so"), "theirs"),
        ("lib64/token.so", lambda at: (at / "lib64").symlink_to("theirs"), "theirs"),
        ("link.so", lambda at: (at / "link.so").symlink_to("link.so"), "link.so"),
        ("link.so", lambda at: (at / "link.so").symlink_to("/proc/1/root/etc/passwd"), "/proc/1"),
    ],
)  # fmt: skip
def test_links_of_root_are_followed_to_what_only_root_writes(
    of_root: Path, name: str, make: Callable[[Path], object], part: str
) -> None:
    make(of_root)
    assert provider.written_by_others(f"{of_root}/{name}") == (str(of_root / part) if part else "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("way", ["directory", "library", "pin"])
def test_root_loads_nothing_that_others_can_write(
    directory: Path, of_root: Path, way: str, monkeypatch: pytest.MonkeyPatch, mocker: MockerFixture
) -> None:
    mocker.patch.object(provider, "is_believed", return_value=True)
    mocker.patch.object(provider, "is_of_system", return_value=True)
    theirs = of_root / "theirs"
    ours = Path("/etc/passwd")
    paths = {"directory": of_root / "etc", "library": ours, "pin": ours, way: theirs / "etc"}
    at = paths["directory"]
    at.mkdir()
    (at / "openssl.env").write_text(provider.environment_text(str(at), "", str(paths["library"]), str(paths["pin"])))
    (at / "openssl.cnf").write_text("")
    # Any other user loads what it likes.
    uid = mocker.patch("os.geteuid", return_value=1)
    provider.enable(str(at))
    assert os.environ.pop("OPENSSL_CONF") == f"{at}/openssl.cnf"
    uid.return_value = 0
    assert provider.enable(str(at)) == ()
    assert "OPENSSL_CONF" not in os.environ
    # In place of that OpenSSL is not set up.
    hardware.token_key(directory / "key.pem", "pkcs11:token=gateway;object=tedge")
    monkeypatch.delenv("CRYPTOKI_MODULE")
    with pytest.raises(
        UnreadableError, match=f"cannot use .*key.pem: {theirs}/etc.*others than root can write {theirs}:"
    ):
        keys.load(directory / "key.pem")
